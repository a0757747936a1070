"""SIGKILL in each stage, in real processes: the end is as if nothing had been."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regrow.engine.pipeline import STAGES, Stage

pytestmark = pytest.mark.slow

COMMAND = (
    *(sys.executable, "-m", "regrow.cli", "run", "air-quality"),
    *("--sample", "--preset", "quick", "--no-prefect", "--json"),
)
DEADLINE_S = 600


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "REGROW_HOME": str(home)}


def run_to_the_end(home: Path) -> dict[str, Any]:
    done = subprocess.run(
        COMMAND,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def current_stage(home: Path, pid: int) -> str | None:
    """The stage that the process says it is in."""
    for path in home.glob("runs/air-quality/*.json"):
        record = json.loads(path.read_text())
        if record["pid"] == pid:
            return str(record["stage"])
    return None


def kill_when(home: Path, reached: Callable[[int], bool]) -> None:
    """Starts a run and kills it, unasked and unwarned, as soon as `reached(pid)`."""
    process = subprocess.Popen(
        COMMAND, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + DEADLINE_S
        while not reached(process.pid):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


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
    marks = (".building-", "scratch", ".lock", ".tmp", ".part")
    return [name for name in names if any(mark in name for mark in marks)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a run that nobody interrupted."""
    home = tmp_path_factory.mktemp("reference") / "home"
    run_to_the_end(home)
    return home


def home_before(stage: Stage, reference: Path, tmp_path: Path) -> Path:
    """A home in which everything before `stage` is done and nothing from there on."""
    home = tmp_path / "home"
    names = list(STAGES)
    for done in names[: names.index(stage)]:
        source = reference / "store" / "air-quality" / done
        shutil.copytree(source, home / "store" / "air-quality" / done)
    return home


def test_killed_in_each_stage_in_turn_a_run_ends_as_if_nothing_had_been(
    reference: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    finished: dict[str, int] = {}
    store = home / "store" / "air-quality"
    for stage in STAGES:

        def inside(pid: int, stage: Stage = stage) -> bool:
            built = any((store / stage).glob(".building-*"))
            return built and current_stage(home, pid) == stage

        kill_when(home, inside)
        # A manifest in a folder that is being built is not a result yet.
        for path in store.glob("*/[!.]*/manifest.json"):
            finished.setdefault(path.parents[1].name, path.stat().st_mtime_ns)
        assert list(finished) == list(STAGES)[: list(STAGES).index(stage)]
    summary = run_to_the_end(home)
    cached = [ref["stage"] for ref in summary["stages"] if ref["cached"]]
    assert cached == list(finished) == list(STAGES)[:-1]
    for done, made_at in finished.items():  # once, by the run that came after the killed one
        (path,) = store.glob(f"{done}/*/manifest.json")
        assert path.stat().st_mtime_ns == made_at
    assert result_of(home) == result_of(reference)
    assert leftovers(home) == []


def test_a_training_killed_between_epochs_resumes_to_the_same_weights(
    reference: Path, tmp_path: Path
) -> None:
    home = home_before("train", reference, tmp_path)
    scratch = home / "scratch" / "air-quality" / "train"

    def has_checkpoint(_pid: int) -> bool:
        return any(path.is_file() for path in scratch.rglob("*"))

    kill_when(home, has_checkpoint)
    kept = [path for path in scratch.rglob("*") if path.is_file()]
    assert kept, "the checkpoint must outlive the process"
    run_to_the_end(home)
    assert result_of(home) == result_of(reference)
    assert leftovers(home) == []


def test_a_publication_killed_at_any_moment_leaves_one_version(
    reference: Path, tmp_path: Path
) -> None:
    """Kills at later and later moments of publishing, all in one home, then lets it finish."""
    home = home_before("publish", reference, tmp_path)
    for delay_s in (0.5, 1.5, 3.0):
        started: list[float] = []

        def long_enough(pid: int, delay_s: float = delay_s, started: list[float] = started) -> bool:
            if not started and current_stage(home, pid) == "publish":
                started.append(time.monotonic())
            return bool(started) and time.monotonic() - started[0] > delay_s

        kill_when(home, long_enough)
    run_to_the_end(home)
    assert result_of(home) == result_of(reference)
    assert leftovers(home) == []
