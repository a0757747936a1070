"""A home that the code before the sub-packages made: its models load, predict and are rolled back.

`tests/support/make_old_home.py` describes the archive.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regrow.base.layout import LAYOUT
from regrow.base.settings import read_environment
from regrow.operations.predict import predict_files
from regrow.registry.names import ChampionRef
from tests.conftest import Regrow
from tests.support.homes import unpack_old_home

QUICK = ("--sample", "--preset", "quick", "--no-prefect", "--json")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The old home, where the fixture `regrow` looks for one."""
    return unpack_old_home(tmp_path)


@pytest.fixture
def answers(home: Path) -> dict[str, Any]:
    """What the old code predicted, by the name and version of the model."""
    found = json.loads((home.parent / "predictions.json").read_text(encoding="utf-8"))
    return {answer["model"]: answer for answer in found}


def assert_predicts(home: Path, expected: dict[str, Any], version: int | None = None) -> None:
    """Makes sure that the champion, or a version, is the expected one and predicts the same."""
    model, *inputs = (text for text in expected["arguments"] if not text.startswith("--"))
    found = predict_files(
        ChampionRef(model, sample="--sample" in expected["arguments"], version=version),
        read_environment({"REGROW_HOME": str(home)}),
        [home.parent / "inputs" / name for name in inputs if "." in name],
    )
    assert found.used == expected["model"]
    rows = found.frame.to_dict(orient="records")
    assert len(rows) == len(expected["predictions"])
    for row, old in zip(rows, expected["predictions"], strict=True):
        for name, value in old.items():
            if isinstance(value, float):
                assert row[name] == pytest.approx(value, rel=1e-5, abs=1e-5)
            else:  # a picture is named with its folder, as it was given
                assert str(row[name]).removeprefix(f"{home.parent}/inputs/") == str(value)


@pytest.mark.slow
def test_champions_and_layers_of_our_own_predict_as_before(
    home: Path, answers: dict[str, Any]
) -> None:
    assert_predicts(home, answers["air-quality.sample version 1"], version=1)
    assert_predicts(home, answers["air-quality.sample version 2"])
    assert_predicts(home, answers["image-similarity version 1"])
    assert_predicts(home, answers["digit-localisation version 1"])


@pytest.mark.slow
def test_the_champion_before_is_rolled_back_to(
    home: Path, answers: dict[str, Any], regrow: Regrow
) -> None:
    done = regrow("rollback", "air-quality", "--sample", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["champion_after"] == 1
    assert (home / "layout.json").exists()
    assert_predicts(home, answers["air-quality.sample version 1"])
    decisions = json.loads(regrow("log", "air-quality", "--sample", "--json").stdout)
    assert [decision["action"] for decision in decisions] == ["first", "promoted", "rolled-back"]


@pytest.mark.slow
def test_a_run_migrates_and_is_judged_against_the_old_champion(home: Path, regrow: Regrow) -> None:
    """The old champion gets the score that it had, on the same test data, from today's code."""
    (decision,) = json.loads(regrow("log", "air-quality", "--sample", "--json").stdout)[1:]
    done = regrow("run", "air-quality", *QUICK, "--set", "variants.all-sensors.degree=3")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["version"] == 3
    assert summary["decision"]["champion_before"] == 2
    assert summary["decision"]["champion"] == pytest.approx(decision["challenger"], abs=1e-5)
    assert json.loads((home / "layout.json").read_text()) == {"layout": LAYOUT}
    assert not list(home.glob("scratch/**/*.npz"))  # the old training, which nothing resumes
