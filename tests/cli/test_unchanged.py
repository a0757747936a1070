"""A run of which nothing has changed: found in the store, without a server or heavy imports."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.records import list_runs
from regrow.pipeline.request import make_request
from regrow.pipeline.runs import run_unchanged
from regrow.pipeline.stages import STAGES
from tests.cli.test_cli import HEAVY, environment

OPTIONS = ("run", "air-quality", "--preset", "quick", "--sample", "--json")


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "home"))


@pytest.fixture
def pipeline(home: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setenv("REGROW_HOME", str(home))
    spec = get_spec("air-quality")
    return Pipeline(spec, make_request(spec, preset="quick", data="sample"), read_environment())


def run_light(
    arguments: Sequence[str],
    exit_code: int,
    heavy: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
) -> subprocess.CompletedProcess[str]:
    """Runs a command that ends with this code and imports none of the heavy libraries."""
    code = (
        "import sys\nfrom regrow.cli import main\n"
        f"sys.argv = ['regrow', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        f"    assert end.code == {exit_code}, end.code\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_an_unchanged_run_starts_nothing_and_imports_nothing_heavy(
    home: Path, tmp_path: Path
) -> None:
    env = {k: v for k, v in environment(home).items() if not k.startswith("PREFECT_")}
    done = run_light(OPTIONS, 0, HEAVY, env={**env, "HOME": str(tmp_path)}, cwd=tmp_path)
    assert done.stderr == ""  # not "starting Prefect..."
    summary = json.loads(done.stdout)
    assert [ref["cached"] for ref in summary["stages"]] == [True] * len(STAGES)
    assert summary["decision"]["action"] == "first"
    newest = next(list_runs(read_environment({"REGROW_HOME": str(home)}).home, "air-quality"))
    assert newest.outcome(read_environment({"REGROW_HOME": str(home)}).home) == "cached"


def test_a_decision_that_no_longer_holds_is_no_result(pipeline: Pipeline) -> None:
    """As after a rollback or a promotion elsewhere: the version is judged again."""
    home = pipeline.settings.home
    before = [record.run_id for record in list_runs(home, "air-quality")]
    with sqlite3.connect(home.database) as connection:
        connection.execute("DELETE FROM registered_model_aliases WHERE alias = 'champion'")
    assert run_unchanged(pipeline) is None
    assert [record.run_id for record in list_runs(home, "air-quality")] == before


@pytest.mark.parametrize("stage", ["download", "train", "publish"])
def test_a_missing_or_damaged_result_is_no_result(stage: str, pipeline: Pipeline) -> None:
    (entry,) = (pipeline.settings.home.store / "air-quality" / stage).glob("[!.]*")
    damaged = next(path for path in sorted(entry.rglob("*")) if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert run_unchanged(pipeline) is None


MISTAKES = {
    "no champion": (("predict", "air-quality", "readings.csv"), "has no champion"),
    "no such file to predict from": (("predict", "air-quality", "none.csv"), "no such file"),
    "no such file to train on": (
        ("run", "air-quality", "--source", "air-quality=none.csv"),
        "cannot be used",
    ),
    "another header": (
        ("run", "air-quality", "--source", "air-quality=readings.csv"),
        "the columns are not those of the Air Quality file",
    ),
    "another header to predict from": (
        ("predict", "air-quality", "readings.csv", "--sample"),
        "the columns are not those of the Air Quality file",
    ),
    "unknown backend": (
        ("run", "air-quality", "--sample"),
        "Keras is configured with an unsupported backend",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_before_anything_heavy_is_imported(
    mistake: str, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "readings.csv").write_text("Date;Time;CO\r\n10/03/2004;18.00.00;2,6\r\n")
    arguments, message = MISTAKES[mistake]
    heavy = [name for name in HEAVY if name != "pandas"]  # the reader's own
    more = {"KERAS_BACKEND": "theano"} if mistake == "unknown backend" else {}
    done = run_light(arguments, 2, heavy, env=environment(home, **more), cwd=tmp_path)
    assert message in done.stderr
    assert "starting Prefect" not in done.stderr


def test_a_backend_that_is_not_installed(tmp_path: Path) -> None:
    """As where PyTorch was not installed: Python finds no module of that name."""
    hide = "import sys\nsys.modules['torch'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    done = subprocess.run(
        [sys.executable, "-m", "regrow.cli", "run", "air-quality", "--sample"],
        env=environment(tmp_path / "home", KERAS_BACKEND="torch", PYTHONPATH=_path_with(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "the environment variable KERAS_BACKEND" in done.stderr
    assert "not installed" in done.stderr


def _path_with(folder: Path) -> str:
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
