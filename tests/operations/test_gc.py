"""Cleaning up: what is in use stays, what goes goes whole, and runs beside it lose nothing."""

from __future__ import annotations

import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from regrow.base.errors import DataError, UserError
from regrow.base.files import write_text
from regrow.base.home import Home
from regrow.base.keras_settings import KerasSettings
from regrow.base.locks import exclusive
from regrow.base.project_file import find_project
from regrow.base.settings import Settings, read_environment
from regrow.operations.bundle_contents import import_lock
from regrow.operations.bundle_import import import_bundle
from regrow.operations.gc import collect_garbage
from regrow.operations.predict import write_frame
from regrow.pipeline.records import run_lock
from regrow.registry.publication import publish_release
from regrow.store.entry import Entry
from regrow.store.fingerprint import Components
from regrow.store.store import Store
from tests.conftest import SAMPLE, Regrow
from tests.support.commands import own_environment
from tests.support.registries import judge_by_bias, make_release, open_registry

LONG_AGO = 40 * 24 * 3600


@pytest.fixture
def home(tmp_path: Path, migrated: Path) -> Path:
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return tmp_path


def settings_of(home: Path, **changes: Any) -> Settings:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return replace(Settings(Home(home), None, uri, KerasSettings(), find_project()), **changes)


def collect(home: Path, *, keep: int = 1, dry_run: bool = False) -> dict[str, Any]:
    return collect_garbage(settings_of(home), keep=keep, dry_run=dry_run)


def removed(found: dict[str, Any]) -> list[str]:
    return [item["path"] for item in found["removed"]]


def build(home: Path, stage: str, fingerprint: str, **inputs: Entry) -> Entry:
    """An entry with content of its own, made from others."""

    def make(out: Path, _scratch: Path) -> dict[str, Any]:
        (out / "content.txt").write_text(f"{stage} {fingerprint}")
        return {"registered_name": "model", "version": 0}

    components: Components = {
        "code": {},
        "config": {},
        "inputs": {name: entry.digest for name, entry in inputs.items()},
        "libraries": {},
    }
    return Store(Home(home)).build("model", stage, fingerprint, components, make)[0]


def build_chain(home: Path, name: str) -> None:
    clean = build(home, "clean", f"clean-{name}")
    build(home, "train", f"train-{name}", clean=clean)
    time.sleep(1.1)  # entries are told apart by the second they were made in


def chain(name: str) -> list[str]:
    return [f"store/model/{stage}/{stage}-{name}" for stage in ("clean", "train")]


def publish(home: Path, name: str, bias: float) -> None:
    """Registers a version whose results are those of a chain."""
    release = make_release(home, name, bias)
    tags = {"regrow.fingerprint.train": f"train-{name}"}
    release = replace(release, tags=tags)
    publish_release(open_registry(home), release, judge_by_bias(name, bias))


def write_record(home: Path, name: str, **values: Any) -> None:
    record = {
        "run_id": name,
        "request": {"model": "model", "config": {}, "preset": "best"},
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        **values,
    }
    path = home / "runs" / "model" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def age(*paths: Path) -> None:
    then = time.time() - LONG_AGO
    for path in paths:
        os.utime(path, (then, then))


def test_champion_challenger_and_the_newest_stay_with_what_they_were_made_from(home: Path) -> None:
    for name, bias in {"best": 0.1, "worse": 0.5, "worst": 0.9}.items():
        build_chain(home, name)
        publish(home, name, bias)
    for name in ("forgotten", "newest"):
        build_chain(home, name)
    planned = collect(home, dry_run=True)
    # "worse" was a challenger until "worst" came; "newest" is what the next run would ask for.
    assert removed(planned) == sorted([*chain("forgotten"), *chain("worse")])
    assert planned["removed_bytes"] > 0
    assert (home / chain("worse")[0]).is_dir()
    assert removed(collect(home, keep=2, dry_run=True)) == chain("forgotten")
    assert removed(collect(home)) == removed(planned)
    left = sorted(path.relative_to(home).as_posix() for path in home.glob("store/*/*/*"))
    assert left == sorted([*chain("best"), *chain("newest"), *chain("worst")])
    assert removed(collect(home)) == []


def test_a_champions_inputs_are_found_by_content(home: Path) -> None:
    """No version names the clean table that its training read; the training's manifest does."""
    build_chain(home, "champions")
    publish(home, "champions", 0.1)
    for name in ("other", "newest"):
        build_chain(home, name)
    assert removed(collect(home)) == chain("other")


def test_a_model_with_a_run_under_way_is_left_alone(home: Path) -> None:
    build_chain(home, "old")
    build_chain(home, "new")
    write_record(home, "r1", state="running")
    with exclusive(run_lock(Home(home), "model", "r1")):
        found = collect(home)
        assert (removed(found), found["busy"]) == ([], ["model"])
    write_record(home, "r1", state="running", pid=1, host="another-machine")
    assert collect(home)["busy"] == ["model"]
    # Of this machine's it is known that it was killed, though another process has its number now.
    write_record(home, "r1", state="running", pid=os.getpid())
    assert removed(collect(home)) == chain("old")


def test_a_training_that_can_be_resumed_keeps_its_checkpoints_and_inputs(home: Path) -> None:
    build_chain(home, "old")
    build_chain(home, "new")
    scratch = home / "scratch/model/train/unfinished"
    scratch.mkdir(parents=True)
    (scratch / "checkpoint.npz").write_bytes(b"weights")
    reference = {
        "model": "model",
        "stage": "clean",
        "fingerprint": "clean-old",
        "digest": "",
        "cached": False,
        "seconds": 0,
    }
    write_record(home, "r1", state="failed", stage="train", stages={"clean": reference})
    write_record(home, "r2", state="completed")
    assert removed(collect(home, dry_run=True)) == [chain("old")[1]]
    age(scratch / "checkpoint.npz", scratch)
    assert "scratch/model/train/unfinished" in removed(collect(home))
    assert not (home / "scratch").exists()


def test_an_entry_that_is_being_built_stays(home: Path) -> None:
    build_chain(home, "old")
    build_chain(home, "new")
    with exclusive(lock := home / "locks" / "model-clean-clean-old.lock"):
        assert removed(collect(home)) == [chain("old")[1]]
        assert lock.exists()
    assert removed(collect(home)) == [chain("old")[0]]


def test_damaged_results_old_reports_failures_and_downloads_go(home: Path) -> None:
    build_chain(home, "new")
    damaged = home / "store/model/clean/damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{")
    publish(home, "first", 0.1)
    for name in ("model-v1.html", "model-v7.html", "mine.html"):
        (home / "reports").mkdir(exist_ok=True)
        (home / "reports" / name).write_text("report")
    for model in ("model", "gone"):
        (home / "failures" / model).mkdir(parents=True)
        (home / "failures" / model / "validation.html").write_text("page")
    write_record(home, "r1", state="failed", stage="validate")
    declared = "9d0d4bf20a5c1d1a7c4d4c9e4ab5f7d7a3ae7a3a4f2f2a0bbb2a5cc1b5a8e3b1"
    (home / "downloads" / "9d").mkdir(parents=True)
    (home / "downloads" / "9d" / declared).write_bytes(b"unknown")
    part = home / "downloads" / ".tmp-0123456789abcdef-01234567.part"
    part.write_bytes(b"half")
    found = collect(home)
    assert removed(found) == [
        "store/model/clean/damaged",
        f"downloads/9d/{declared}",
        "reports/model-v7.html",
        "failures/gone",
    ]
    age(part)
    assert removed(collect(home)) == [f"downloads/{part.name}"]
    write_record(home, "r2", state="completed")
    assert removed(collect(home)) == ["failures/model"]
    assert (home / "reports" / "mine.html").is_file()


def test_declared_downloads_stay(home: Path) -> None:
    from regrow.sources.catalog import load_sources
    from regrow.sources.locations import known_digests

    sources = load_sources(find_project() / "data" / "sources.toml")
    digests = [digest for source in sources.values() for digest in known_digests(source)]
    for digest in digests:
        path = home / "downloads" / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"file")
    assert len(digests) > 3
    assert removed(collect(home)) == []


def test_what_a_killed_clean_up_left_is_removed(home: Path) -> None:
    build_chain(home, "new")
    left = home / "store/model/clean/.removing-old"
    left.mkdir()
    half = home / "store/model/clean/.building-half"
    half.mkdir()
    files = [home / place / ".writing-1-x.json" for place in ("runs/model", "reports", "inbox/me")]
    for path in files:
        path.parent.mkdir(parents=True)
        path.write_text("half")
        age(path)
    recent = files[0].with_name(".writing-2-x.json")
    recent.write_text("half")
    lock = Home(home).lock("model-clean-old")
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    collect(home, dry_run=True)
    assert lock.exists()
    assert left.is_dir()
    assert files[0].exists()
    collect(home)
    assert not left.exists()
    assert not half.exists()
    assert not lock.exists()
    assert [path.exists() for path in files] == [False, False, True], "the inbox is the user's"
    assert recent.exists()


def test_two_clean_ups_at_once_and_a_silent_registry_are_said(home: Path) -> None:
    build_chain(home, "old")
    build_chain(home, "new")
    with (
        exclusive(home / "locks" / "gc.lock"),
        pytest.raises(UserError, match="another clean-up"),
    ):
        collect(home)
    with pytest.raises(UserError, match="nothing was removed"):
        collect_garbage(settings_of(home, tracking_uri="http://127.0.0.1:9"), keep=1, dry_run=False)
    assert (home / chain("old")[0]).is_dir()


QUICK = ("run", "air-quality", "--preset", "quick", "--sample", "--no-prefect", "--json")


@pytest.mark.e2e
def test_a_run_beside_clean_ups_ends_well_and_is_found_again(
    regrow: Regrow, tmp_path: Path
) -> None:
    """Real processes: cleaning again and again while a pipeline runs takes nothing from it."""
    environment = own_environment(tmp_path)
    run = subprocess.Popen(
        [sys.executable, "-m", "regrow.cli", *QUICK],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    busy = 0
    try:
        # Asking the registry imports MLflow, so one process asks many times.
        code = (
            "import sys, json\nfrom regrow.base.settings import read_environment\n"
            "from regrow.operations.gc import collect_garbage\n"
            "for line in sys.stdin:\n"
            "    found = collect_garbage(read_environment(), keep=0, dry_run=False)\n"
            "    print(json.dumps(found), flush=True)\n"
        )
        cleaner = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert cleaner.stdin
        assert cleaner.stdout
        while run.poll() is None:
            cleaner.stdin.write("\n")
            cleaner.stdin.flush()
            busy += "air-quality" in json.loads(cleaner.stdout.readline())["busy"]
            time.sleep(0.2)
        cleaner.stdin.close()
        assert cleaner.wait(60) == 0
    finally:
        out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    assert busy > 3
    assert json.loads(out)["decision"]["action"] == "first"
    # A result of other settings is not needed; that of the champion stays and is found again.
    stale = tmp_path / "home/store/air-quality/train/stale"
    stale.mkdir()
    done = regrow("gc", "--json")
    assert done.returncode == 0, done.stderr
    assert removed(json.loads(done.stdout)) == ["store/air-quality/train/stale"]
    again = json.loads(regrow(*QUICK).stdout)
    assert all(stage["cached"] for stage in again["stages"])
    assert regrow("predict", "air-quality", SAMPLE, "--sample").returncode == 0
    text = regrow("gc", "--dry-run").stdout
    assert "would free 0.0 MiB in 0 items; 6 results" in text


def test_the_commands_mistakes(regrow: Regrow) -> None:
    assert "regrow gc --dry-run" in regrow("gc", "--help", env={"COLUMNS": "200"}).stdout
    done = regrow("gc", "--keep", "-1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    empty = regrow("gc", "--json")
    assert empty.returncode == 0, empty.stderr
    assert json.loads(empty.stdout)["removed"] == []


def test_unpacked_bundles_of_killed_imports_are_removed(home: Path) -> None:
    killed = home / ".importing-killed" / "downloads"
    killed.mkdir(parents=True)
    (killed / "data").write_bytes(b"large")
    with exclusive(import_lock(Home(home))):
        collect_garbage(settings_of(home), keep=3, dry_run=False)
    assert killed.exists(), "an import that is going on must not lose its files"
    collect_garbage(settings_of(home), keep=3, dry_run=False)
    assert not list(home.glob(".importing*"))
    killed.mkdir(parents=True)
    (home / "bundle.zip").write_bytes(b"no bundle")
    with pytest.raises(DataError):
        import_bundle(home / "bundle.zip", settings_of(home))
    assert not list(home.glob(".importing*"))


def run_stages(home: Home, ended: threading.Event) -> None:
    """What runs do below the home, one short stage after another."""

    def make(out: Path, scratch: Path) -> dict[str, Any]:
        write_text(out / "folder" / "file", "result")
        write_text(scratch / "checkpoints" / "state", "state")
        return {}

    components: Components = {"code": {}, "config": {}, "inputs": {}, "libraries": {}}
    store = Store(home)
    for number in itertools.count():
        if ended.is_set():
            return
        store.sweep("model")
        store.build("model", "train", f"{number}", components, make)


def predict(home: Home, ended: threading.Event) -> None:
    """What predictions write below the home."""
    frame = pd.DataFrame({"x": range(10)})
    while not ended.is_set():
        for name in ("same.csv", "same.parquet"):
            write_frame(frame, home.predictions / "air-quality" / name)


def test_clean_ups_beside_stages_and_predictions_fail_none_of_them(tmp_path: Path) -> None:
    settings = read_environment({"REGROW_HOME": str(tmp_path / "home")})
    ended = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        beside = [
            pool.submit(work, settings.home, ended) for work in (run_stages, predict, predict)
        ]
        try:
            for _ in range(100):
                collect_garbage(settings, keep=0, dry_run=False)
        finally:
            ended.set()
        for one in beside:
            one.result()
    assert {path.name for path in (settings.home.predictions / "air-quality").iterdir()} == {
        "same.csv",
        "same.parquet",
    }
