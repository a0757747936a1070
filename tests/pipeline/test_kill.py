"""SIGKILL in each stage, in real processes: the end is as if nothing had been."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regrow.pipeline.stages import STAGES, Stage
from tests.conftest import QUICK_RUN
from tests.support.commands import REGROW, Launcher, list_files

pytestmark = pytest.mark.slow

DEADLINE_S = 600


def run_to_the_end(launcher: Launcher, home: Path) -> dict[str, Any]:
    done = launcher.run(
        *REGROW, *QUICK_RUN, env=environment(home), cwd=home.parent, timeout_s=DEADLINE_S
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "REGROW_HOME": str(home)}


def current_stage(home: Path, pid: int) -> str | None:
    """The stage that the process says it is in."""
    for path in home.glob("runs/air-quality/[!.]*.json"):
        record = json.loads(path.read_text())
        if record["pid"] == pid:
            return str(record["stage"])
    return None


def kill_when(launcher: Launcher, home: Path, reached: Callable[[int], bool]) -> None:
    """Starts a run and kills it without a warning as soon as `reached(pid)`."""
    command = launcher.start(*REGROW, *QUICK_RUN, env=environment(home), cwd=home.parent)
    try:
        end = time.monotonic() + DEADLINE_S
        while not reached(command.pid):
            assert command.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.001)
    finally:
        command.kill()


def result_of(home: Path) -> dict[str, Any]:
    """What a run amounts to, free of times and paths: data, weights, figures, registry."""
    store = home / "store" / "air-quality"
    (train,) = store.glob("train/*/model.keras")
    (clean,) = store.glob("clean/*/table.parquet")
    (predictions,) = store.glob("evaluate/*/predictions.parquet")
    (evaluation,) = store.glob("evaluate/*/evaluation.json")
    with zipfile.ZipFile(train) as archive:
        weights = archive.read("model.weights.h5")
    decisions = (home / "decisions" / "air-quality.sample.jsonl").read_text().splitlines()
    return {
        "weights": weights,
        "table": clean.read_bytes(),
        "predictions": predictions.read_bytes(),
        "metrics": json.loads(evaluation.read_text())["metrics"],
        "decisions": [(line["action"], line["version"]) for line in map(json.loads, decisions)],
        "runs": sorted(path.name for path in (home / "mlartifacts").glob("*/*") if path.is_dir())
        and len(list((home / "mlartifacts").glob("*/*"))),
    }


def leftovers(home: Path) -> list[str]:
    """Half-built entries, scratch, locks and temporary files."""
    names = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.exists()]
    marks = (".building-", "scratch", ".lock", ".tmp", ".writing-", ".part")
    return [name for name in names if any(mark in name for mark in marks)]


def home_before(stage: Stage, trained: Path, tmp_path: Path) -> Path:
    """A home in which everything before `stage` is done and nothing from there on."""
    home = tmp_path / "home"
    names = list(STAGES)
    for done in names[: names.index(stage)]:
        source = trained / "store" / "air-quality" / done
        shutil.copytree(source, home / "store" / "air-quality" / done)
    return home


def test_killed_in_each_stage_in_turn_a_run_ends_as_if_nothing_had_been(
    trained: Path, launcher: Launcher, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    finished: dict[str, int] = {}
    store = home / "store" / "air-quality"
    for stage in STAGES:

        def inside(pid: int, stage: Stage = stage) -> bool:
            built = any((store / stage).glob(".building-*"))
            return built and current_stage(home, pid) == stage

        kill_when(launcher, home, inside)
        # A manifest in a folder that is being built is not a result yet.
        for path in store.glob("*/[!.]*/manifest.json"):
            finished.setdefault(path.parents[1].name, path.stat().st_mtime_ns)
        assert list(finished) == list(STAGES)[: list(STAGES).index(stage)]
    summary = run_to_the_end(launcher, home)
    cached = [ref["stage"] for ref in summary["stages"] if ref["cached"]]
    assert cached == list(finished) == list(STAGES)[:-1]
    for done, made_at in finished.items():  # once, by the run that came after the killed one
        (path,) = store.glob(f"{done}/*/manifest.json")
        assert path.stat().st_mtime_ns == made_at
    assert result_of(home) == result_of(trained)
    assert leftovers(home) == []


@pytest.mark.e2e
def test_a_training_killed_between_epochs_resumes_to_the_same_weights(
    trained: Path, launcher: Launcher, tmp_path: Path
) -> None:
    home = home_before("train", trained, tmp_path)
    scratch = home / "scratch" / "air-quality" / "train"

    def has_checkpoint(_pid: int) -> bool:
        return bool(list_files(scratch))

    kill_when(launcher, home, has_checkpoint)
    kept = list_files(scratch)
    assert kept, "the checkpoint must outlive the process"
    run_to_the_end(launcher, home)
    assert result_of(home) == result_of(trained)
    assert leftovers(home) == []


@pytest.mark.e2e
def test_a_publication_killed_at_any_moment_leaves_one_version(
    trained: Path, launcher: Launcher, tmp_path: Path
) -> None:
    """Kills at later and later moments of publishing, all in one home, then lets it finish."""
    home = home_before("publish", trained, tmp_path)
    for delay_s in (0.2, 0.8, 1.6):
        started: list[float] = []

        def long_enough(pid: int, delay_s: float = delay_s, started: list[float] = started) -> bool:
            if not started and current_stage(home, pid) == "publish":
                started.append(time.monotonic())
            return bool(started) and time.monotonic() - started[0] > delay_s

        kill_when(launcher, home, long_enough)
    run_to_the_end(launcher, home)
    assert result_of(home) == result_of(trained)
    assert leftovers(home) == []
