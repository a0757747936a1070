"""Runs side by side: what differs is shown, what was removed is said, what is wrong is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.settings import open_home, read_environment
from regrow.operations.compare import Comparison, compare_runs
from regrow.operations.find_runs import find_run
from tests.conftest import Regrow

FIRST, SECOND = "20260101T000000-aaaa0001", "20260102T000000-aaaa0002"


def copy_entry(home: Path, ref: dict[str, Any], fingerprint: str) -> Path:
    """A stage's result under another fingerprint."""
    folder = home / "store" / "air-quality" / str(ref["stage"])
    shutil.copytree(folder / str(ref["fingerprint"]), folder / fingerprint)
    ref["fingerprint"] = fingerprint
    return folder / fingerprint


def change(path: Path, **values: Any) -> None:
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, **values}))


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """Two runs: as it was trained, and one with another setting, other curves and figures."""
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    runs = home / "runs" / "air-quality"
    first, *others = sorted(runs.glob("[!.]*.json"))  # other tests may have run it again
    record = json.loads(first.read_text())
    for path in (first, *others):
        path.unlink()
    (runs / f"{FIRST}.json").write_text(json.dumps({**record, "run_id": FIRST}))
    record["request"]["config"]["variants"]["all-sensors"]["learning_rate"] = 0.5
    train = copy_entry(home, record["stages"]["train"], "1" * 64)
    history = json.loads((train / "history.json").read_text())
    for run in history:
        run["curves"]["val_loss"] = [3.0, 2.0, 2.5]
    (train / "history.json").write_text(json.dumps(history))
    evaluate = copy_entry(home, record["stages"]["evaluate"], "2" * 64) / "evaluation.json"
    metrics = {**json.loads(evaluate.read_text())["metrics"], "rmse": 9.5}
    change(evaluate, metrics=metrics)
    publish = copy_entry(home, record["stages"]["publish"], "3" * 64) / "manifest.json"
    change(publish, facts={**json.loads(publish.read_text())["facts"], "version": 2})
    (runs / f"{SECOND}.json").write_text(json.dumps({**record, "run_id": SECOND}))
    return home


@pytest.fixture
def found(home: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    monkeypatch.setenv("REGROW_HOME", str(home))
    return compare_runs(["air-quality~1", "air-quality"], read_environment())


def test_what_differs_is_found_in_every_part(found: Comparison) -> None:
    (setting,) = [line for line in found.lines("settings") if line.differs]
    assert setting.name == "variants.all-sensors.learning_rate"
    assert setting.values == [0.01, 0.5]
    assert not [line for line in found.lines("data") if line.differs]
    assert found.lines("code")
    assert not [line for line in found.lines("code") if line.differs]
    assert {"keras", "python"} <= {line.name for line in found.lines("libraries")}
    (metric,) = [line for line in found.lines("metrics") if line.differs]
    assert (metric.name, metric.values[1], metric.best) == ("rmse", 9.5, [0])
    curves = {line.name: line.values[1] for line in found.lines("curves")}
    assert (curves["epochs"], curves["first"], curves["last"]) == (3, 3.0, 2.5)
    assert (curves["best"], curves["best in epoch"]) == (2.0, 2)
    versions = next(line for line in found.lines("run") if line.name == "version")
    assert versions.values == ["air-quality.sample@1", "air-quality.sample@2"]


def test_the_page_and_the_json_hold_all_of_it(found: Comparison, tmp_path: Path) -> None:
    page = found.write_html(tmp_path / "runs.html").read_text()
    assert "variants.all-sensors.learning_rate" in page
    assert page.count('<img src="data:image/png;base64,') >= 1
    assert "<script" not in page
    tables = found._repr_html_()
    assert "variants.all-sensors.learning_rate" in tables
    assert "<!doctype" not in tables
    document = found.as_json()
    assert document["runs"][1]["curves"]["val_loss"] == [3.0, 2.0, 2.5]
    assert {"settings", "data", "code", "libraries", "metrics", "curves"} <= document.keys()
    with pytest.raises(UserError, match="cannot be written"):
        found.write_html(tmp_path / "runs.html" / "below.html")


def test_the_command_prints_only_what_differs(home: Path, regrow: Regrow, tmp_path: Path) -> None:
    names = ("air-quality.sample@1", "aaaa0002")
    page = tmp_path / "page.html"
    done = regrow("compare", *names, "--html", page, home=home, env={"COLUMNS": "160"})
    assert done.returncode == 0, done.stderr
    assert "learning_rate" in done.stdout
    assert "hidden_units" not in done.stdout
    assert "identical in all runs" in done.stdout
    assert page.is_file()
    everything = regrow("compare", *names, "--all", home=home, env={"COLUMNS": "160"})
    assert "hidden_units" in everything.stdout
    document = json.loads(regrow("compare", *names, "--json", home=home).stdout)
    assert [run["run"] for run in document["runs"]] == [FIRST, SECOND]


def test_a_result_that_was_removed_is_said_and_the_rest_compared(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(home / "store" / "air-quality" / "evaluate" / ("2" * 64))
    monkeypatch.setenv("REGROW_HOME", str(home))
    found = compare_runs([FIRST, SECOND], read_environment())
    gone = next(line for line in found.lines("run") if line.name == "no longer in the store")
    assert gone.values == [None, "evaluate"]
    assert next(iter(found.lines("metrics"))).values[1] is None


def test_runs_are_found_by_the_names_that_people_give_them(home: Path) -> None:
    place: Home = open_home(str(home))
    assert find_run(place, "air-quality").run_id == SECOND
    assert find_run(place, "air-quality~1").run_id == FIRST
    assert find_run(place, "air-quality.sample@2").run_id == SECOND
    assert find_run(place, "20260101").run_id == FIRST
    assert find_run(place, "aaaa0002").run_id == SECOND
    for name in ("nonesuch", "air-quality~2", "air-quality@1", "air-quality.sample@7", "../runs"):
        with pytest.raises(UserError, match="there is no run") as raised:
            find_run(place, name)
        assert FIRST in str(raised.value.expected)
    with pytest.raises(UserError, match="2 runs match '2026'"):
        find_run(place, "2026")


def test_one_run_is_not_enough(home: Path, regrow: Regrow) -> None:
    done = regrow("compare", "air-quality", home=home)
    assert done.returncode == 2
    assert "at least two runs" in done.stderr
    assert "Traceback" not in done.stderr
