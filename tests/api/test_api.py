"""The Python API: what notebooks and scripts call, on real homes and in real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import regrow
from regrow.base.errors import DataError, UserError
from regrow.operations.progress_bars import draw_lines
from tests.conftest import REPOSITORY, SAMPLE, Regrow
from tests.support.commands import list_files, wait_for

HEAVY = ("keras", "tensorflow", "pandas", "numpy", "mlflow", "prefect", "pydantic", "rich")
STUB = REPOSITORY / "src" / "regrow" / "__init__.pyi"


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a finished run, which the functions use."""
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    monkeypatch.setenv("REGROW_HOME", str(home))
    monkeypatch.delenv("REGROW_MIRROR", raising=False)
    return home


def run_quick(**options: Any) -> regrow.RunResult:
    return regrow.run("air-quality", preset="quick", sample=True, **options)


def test_import_regrow_imports_nothing_heavy() -> None:
    code = f"import sys, regrow; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_can_be_imported_and_has_a_type() -> None:
    found = re.findall(r"from (\S+) import (\w+) as \w+", STUB.read_text())
    assert {name: module for module, name in found} == regrow.PUBLIC
    for name in regrow.PUBLIC:
        assert getattr(regrow, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'tain'"):
        regrow.tain  # type: ignore[attr-defined]  # noqa: B018


def test_a_run_inside_a_running_event_loop_finds_what_a_command_has_made(home: Path) -> None:
    """As in a notebook: the cell's code is called by a loop that is running."""

    async def cell() -> regrow.RunResult:
        return run_quick()

    result = asyncio.run(cell())
    assert [ref.stage for ref in result.stages if not ref.cached] == []
    assert (result.registered, result.version) == ("air-quality.sample", 1)
    assert result.is_champion
    assert result.decision.action == "first"
    assert result.metrics["rmse"] == pytest.approx(result.headline.value)
    assert result.report.is_file()
    assert result.report.parent == home / "reports"
    records = {path.stem for path in (home / "runs" / "air-quality").glob("[!.]*.json")}
    assert result.run in records
    page = result._repr_html_()
    assert "air-quality.sample version 1" in page
    assert "invented" in page or "shipped sample" in page
    assert result.decision.reason in page


def test_mistakes_are_reported_before_a_process_is_started(home: Path) -> None:
    with pytest.raises(UserError, match="did you mean air-quality"):
        regrow.run("air-qality")
    with pytest.raises(UserError, match="no preset 'nonesuch'"):
        regrow.run("air-quality", preset="nonesuch")
    with pytest.raises(UserError, match="settings of air-quality are not valid") as raised:
        run_quick(settings={"seed": 3})
    assert "did you mean seeds" in str(raised.value.received)


def test_an_error_of_the_run_is_the_users_error_with_all_its_fields(
    home: Path, tmp_path: Path
) -> None:
    spoiled = tmp_path / "spoiled.csv"
    spoiled.write_bytes(SAMPLE.read_bytes().replace(b";698;", b";n/a;", 1))
    with pytest.raises(UserError) as raised:
        regrow.run("air-quality", preset="quick", sources={"air-quality": spoiled})
    assert raised.value.where
    assert "line 2" in raised.value.where
    assert raised.value.expected


def test_the_champion_predicts_from_a_frame_as_from_a_file(home: Path, tmp_path: Path) -> None:
    import pandas as pd

    from regrow.models.air_quality.data import read_readings

    champion = regrow.load_champion("air-quality", sample=True)
    assert (champion.registered, champion.version) == ("air-quality.sample", 1)
    assert "air-quality" in champion.card
    assert champion.keras.count_params() > 0
    assert "air-quality.sample version 1" in champion._repr_html_()
    readings = read_readings(SAMPLE).head(20)
    file = tmp_path / "readings.parquet"
    readings.to_parquet(file)
    from_frame = champion.predict(readings)
    assert len(from_frame) == 20
    pd.testing.assert_frame_equal(from_frame, champion.predict(file))
    pd.testing.assert_frame_equal(
        from_frame, regrow.predict("air-quality", [str(file)], sample=True, version=1)
    )
    with pytest.raises(DataError, match="columns are missing: pt08_s2_nmhc"):
        champion.predict(readings.drop(columns="pt08_s2_nmhc"))
    with pytest.raises(DataError, match="the times are not dates"):
        champion.predict(readings.astype({"timestamp": str}))
    with pytest.raises(UserError, match="no such file"):
        champion.predict("nothing.csv")
    with pytest.raises(UserError, match="no files to predict from"):
        champion.predict([])
    with pytest.raises(UserError, match="has no version 9"):
        regrow.load_champion("air-quality", sample=True, version=9)


def test_status_and_models_are_listed(home: Path) -> None:
    models = regrow.list_models()
    assert "air-quality" in [model.name for model in models]
    assert "<td" in models._repr_html_()
    (line,) = regrow.status("air-quality")
    assert (line.registered, line.version, line.waiting) == ("air-quality.sample", 1, ())
    assert line.outcome in ("completed", "cached")  # other tests may have run it again
    (never,) = regrow.status("deep-dream")
    assert (never.version, never.outcome) == (None, "never run")
    assert "never run" in regrow.status()._repr_html_()
    with pytest.raises(UserError, match="no model 'nonesuch'"):
        regrow.status("nonesuch")


def test_progress_in_a_notebook_is_two_lines_of_escaped_text() -> None:
    shown: list[str] = []
    report = draw_lines("air-quality (<quick>)", shown.append)
    report("stages", 0, 6)
    report("download a&b", 6, 6)
    assert shown[-1].count("<progress") == 2
    assert 'value="0" max="6"></progress> download stage 1 of 6' in shown[-1]
    assert "&lt;quick&gt;" in shown[-1]
    assert 'value="6" max="6"></progress> download a&amp;b 6 of 6' in shown[-1]
    report("stages", 1, 6)
    assert shown[-1].count("<progress") == 1


SCRIPT = """
import regrow
for n in (1, 2):
    regrow.run("air-quality", preset="quick", sample=True, settings={"seeds": n})
"""


def weights_of(home: Path) -> dict[str, bytes]:
    """The published weights of each training stage, by their number of seeds."""
    found = {}
    for folder in (home / "store" / "air-quality" / "train").iterdir():
        with zipfile.ZipFile(folder / "model.keras") as archive:
            runs = len(list((folder / "runs").iterdir()))
            found[str(runs)] = archive.read("model.weights.h5")
    return found


@pytest.mark.e2e
def test_two_runs_in_one_kernel_give_the_same_bits_as_two_commands(
    regrow: Regrow, tmp_path: Path
) -> None:
    kernel, commands = tmp_path / "kernel", tmp_path / "commands"
    environment = {**os.environ, "REGROW_HOME": str(kernel)}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True, timeout=600)
    for seeds in (2, 1):
        options = ("--preset", "quick", "--sample", "--no-prefect", "--set", f"seeds={seeds}")
        done = regrow("run", "air-quality", *options, home=commands)
        assert done.returncode == 0, done.stderr
    assert weights_of(kernel) == weights_of(commands)
    assert len(weights_of(kernel)) == 2


LONG = """
import regrow
from regrow.base.progress import noting_to
with noting_to(print):
    regrow.run("air-quality", preset="quick", sample=True,
               settings={"variants.all-sensors.epochs": 4000}, progress=False)
"""


def find_checkpoint(home: Path) -> Path | None:
    found = list_files(home / "scratch" / "air-quality" / "train")
    return next((path for path in found if path.name == "checkpoint.npz"), None)


@pytest.mark.e2e
def test_an_interrupted_run_ends_at_a_checkpoint_and_the_next_goes_on(
    home: Path, tmp_path: Path
) -> None:
    script = subprocess.Popen([sys.executable, "-c", LONG], stderr=subprocess.PIPE, text=True)
    checkpoint = wait_for("a checkpoint", lambda: find_checkpoint(home))
    os.kill(script.pid, signal.SIGINT)
    _, errors = script.communicate(timeout=120)
    assert "KeyboardInterrupt" in errors
    assert checkpoint.is_file()
    newest = max((home / "runs" / "air-quality").glob("[!.]*.json"))
    record = json.loads(newest.read_text())
    assert (record["state"], record["stage"]) == ("failed", "train")
    assert not Path(f"/proc/{record['pid']}").exists()
    again = [sys.executable, "-c", LONG]
    done = subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    assert "training resumes after epoch" in done.stdout


@pytest.mark.e2e
def test_a_run_ends_when_the_kernel_is_killed(home: Path) -> None:
    script = subprocess.Popen([sys.executable, "-c", LONG])
    wait_for("a checkpoint", lambda: find_checkpoint(home))
    script.kill()
    script.wait()
    newest = max((home / "runs" / "air-quality").glob("[!.]*.json"))
    wait_for("the end of the run", lambda: json.loads(newest.read_text())["state"] == "failed", 60)
    assert "has ended" in json.loads(newest.read_text())["error"]
