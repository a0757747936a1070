"""What a champion in use needs: it is old, or other libraries are installed by now."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import UserError
from regrow.base.settings import read_environment
from regrow.pipeline.upkeep import Upkeep, check_champion
from regrow.registry.names import LIBRARIES, ChampionRef
from regrow.registry.state import ChampionState, read_state
from regrow.store.fingerprint import library_version
from tests.conftest import QUICK_RUN, Regrow
from tests.support.report_run import make_decision

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def check(ref: ChampionRef, days: float, **state: Any) -> Upkeep:
    at = (NOW - timedelta(days=days)).isoformat()
    standing = ChampionState(3, make_decision(), (), None, None, trained_at=at, **state)
    settings = replace(read_environment({}), max_model_age_days=30.0)
    return check_champion(ref, standing, settings, at=NOW)


@pytest.mark.parametrize(
    ("ref", "days", "is_old"),
    [
        (ChampionRef("air-quality"), 29.9, False),
        (ChampionRef("air-quality"), 30.1, True),
        (ChampionRef("air-quality", sample=True), 400, False),  # generated data
        (ChampionRef("image-similarity"), 400, False),  # its data never change
    ],
    ids=str,
)
def test_a_champion_is_old_where_its_data_may_change(
    ref: ChampionRef, days: float, is_old: bool
) -> None:
    found = check(ref, days)
    assert found.age_days == pytest.approx(days)
    assert found.is_old == is_old
    assert [text for text in found.remarks if "REGROW_MAX_MODEL_AGE_DAYS" in text] == (
        [found.age_remark] if is_old else []
    )


def test_other_libraries_are_named_with_both_versions() -> None:
    keras = library_version("keras")
    libraries = {"keras": keras, "numpy": "0.9", "gone": "1.0"}
    found = check(ChampionRef("air-quality"), 1, libraries=libraries)
    assert found.other_libraries == {
        "numpy": ("0.9", library_version("numpy")),
        "gone": ("1.0", "not installed"),
    }
    [said] = found.remarks
    assert f"numpy {library_version('numpy')} (then 0.9)" in said
    assert "keras" not in said


def test_the_age_is_a_number_above_zero() -> None:
    assert read_environment({"REGROW_MAX_MODEL_AGE_DAYS": "7"}).max_model_age_days == 7
    for text in ("0", "never"):
        with pytest.raises(UserError, match="must be a number greater than 0"):
            read_environment({"REGROW_MAX_MODEL_AGE_DAYS": text})


def test_status_doctor_and_run_name_other_libraries(
    trained: Path, tmp_path: Path, regrow: Regrow
) -> None:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    settings = read_environment({"REGROW_HOME": str(home)})
    state = read_state(ChampionRef("air-quality", sample=True), settings)
    assert state is not None
    assert state.libraries["keras"] == library_version("keras")
    then = json.dumps({**state.libraries, "keras": "3.0"})
    with closing(sqlite3.connect(home / "mlflow.db")) as connection, connection:
        changed = connection.execute(
            "UPDATE model_version_tags SET value = ? WHERE key = ?", (then, LIBRARIES)
        )
        assert changed.rowcount == 1
    status = json.loads(regrow("status", "air-quality", "--json").stdout)[0]["champion_on_sample"]
    assert status["other_libraries"] == {"keras": ["3.0", library_version("keras")]}
    assert status["age_days"] < 1
    said = f"keras {library_version('keras')} (then 3.0)"
    checks = json.loads(regrow("doctor", "--json").stdout)
    [found] = [one for one in checks if one["check"] == "champion of air-quality.sample"]
    assert found["level"] == "warn"
    assert said in found["found"]
    summary = json.loads(regrow(*QUICK_RUN).stdout)
    assert all(stage["cached"] for stage in summary["stages"])
    assert said in summary["remarks"][0]
    assert said in regrow("status", "air-quality").stdout
