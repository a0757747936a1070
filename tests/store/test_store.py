from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from regrow.base.digests import digest_json
from regrow.base.errors import LockTimeout
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.store.entry import MANIFEST, Manifest
from regrow.store.fingerprint import Components
from regrow.store.store import Store

COMPONENTS: Components = {"code": {}, "config": {}, "inputs": {}, "libraries": {}}


def make_one(out: Path, _scratch: Path) -> dict[str, Any]:
    (out / "table.txt").write_text("content")
    (out / "figures").mkdir()
    (out / "figures" / "one.txt").write_text("figure")
    return {"rows": 3}


def build(home: Path, make: Any = make_one, fingerprint: str = "f1") -> Any:
    return Store(Home(home)).build("model", "clean", fingerprint, COMPONENTS, make)


def leftovers(home: Path) -> list[str]:
    names = [path.relative_to(home).as_posix() for path in home.rglob("*")]
    marks = (".building-", ".writing-", ".lock")
    return [name for name in names if any(mark in name for mark in marks)]


def test_builds_once_then_finds(tmp_path: Path) -> None:
    first, cached = build(tmp_path)
    assert not cached
    assert first.facts == {"rows": 3}
    assert first.file("figures/one.txt").read_text() == "figure"
    second, cached = build(tmp_path)
    assert cached
    assert second.manifest == first.manifest
    assert leftovers(tmp_path) == []


def test_facts_that_json_changes_do_not_look_edited(tmp_path: Path) -> None:
    def make(out: Path, scratch: Path) -> dict[str, Any]:
        return {**make_one(out, scratch), "loss": math.nan, "shape": (1, 2), "path": tmp_path}

    build(tmp_path, make)
    assert build(tmp_path)[1]


def test_equal_content_has_equal_digests(tmp_path: Path) -> None:
    one, _ = build(tmp_path, fingerprint="f1")
    two, _ = build(tmp_path, fingerprint="f2")
    assert one.digest == two.digest


def test_an_unknown_file_is_named(tmp_path: Path) -> None:
    entry, _ = build(tmp_path)
    with pytest.raises(KeyError, match=r"nothing.txt"):
        entry.file("nothing.txt")


def damage_content(path: Path) -> None:
    (path / "table.txt").write_text("CONTENT")


def damage_size(path: Path) -> None:
    (path / "table.txt").write_text("con")


def damage_missing(path: Path) -> None:
    (path / "figures" / "one.txt").unlink()


def damage_manifest(path: Path) -> None:
    (path / MANIFEST).write_text('{"model": "mod')


def edit_manifest(path: Path, **fields: Any) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**manifest, **fields}))


def edit_fact(path: Path) -> None:
    edit_manifest(path, facts={"rows": 4})


def edit_list_of_files(path: Path) -> None:
    edit_manifest(path, files={}, digest=digest_json({}))


def edit_stage(path: Path) -> None:
    """Names another stage, with a digest that fits."""
    manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    changed = manifest.model_copy(update={"stage": "train"})
    edit_manifest(path, stage="train", manifest_digest=changed.compute_digest())


def remove_digest(path: Path) -> None:
    edit_manifest(path, manifest_digest="")


DAMAGES = [damage_content, damage_size, damage_missing, damage_manifest]
DAMAGES += [edit_fact, edit_list_of_files, edit_stage, remove_digest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_noticed_and_rebuilt(tmp_path: Path, damage: Any) -> None:
    entry, _ = build(tmp_path)
    damage(entry.path)
    assert Store(Home(tmp_path)).find("model", "clean", "f1") is None
    again, cached = build(tmp_path)
    assert not cached
    assert again.file("table.txt").read_text() == "content"
    assert again.facts == {"rows": 3}
    assert Store(Home(tmp_path)).find("model", "clean", "f1") is not None


def test_a_failing_stage_leaves_nothing_but_its_scratch(tmp_path: Path) -> None:
    def fail(out: Path, scratch: Path) -> dict[str, Any]:
        (out / "half.txt").write_text("half")
        (scratch / "checkpoint").write_text("kept")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        build(tmp_path, fail)
    assert leftovers(tmp_path) == []
    assert Store(Home(tmp_path)).find("model", "clean", "f1") is None

    def resume(out: Path, scratch: Path) -> dict[str, Any]:
        (out / "whole.txt").write_text((scratch / "checkpoint").read_text())
        return {}

    entry, _ = build(tmp_path, resume)
    assert entry.file("whole.txt").read_text() == "kept"
    assert not (tmp_path / "scratch").exists()


def _count_and_build(home: Path) -> None:
    def slow(out: Path, scratch: Path) -> dict[str, Any]:
        with (home / "made.txt").open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        return make_one(out, scratch)

    build(home, slow)


def test_processes_at_once_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count_and_build, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len((tmp_path / "made.txt").read_text().splitlines()) == 1
    assert leftovers(tmp_path) == []


KILLED = """
import sys, time
from pathlib import Path
from regrow.base.home import Home
from regrow.store.store import Store
def make(out, scratch):
    (out / "half.txt").write_text("half")
    print("building", flush=True)
    time.sleep(60)
Store(Home(Path(sys.argv[1]))).build("model", "clean", "f1", {}, make)
"""


def test_a_killed_build_is_swept_and_built_again(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    Store(Home(tmp_path)).sweep("model")
    assert leftovers(tmp_path), "a build that is still going on must not be swept"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert leftovers(tmp_path)
    Store(Home(tmp_path)).sweep("model")
    assert leftovers(tmp_path) == []
    entry, cached = build(tmp_path)
    assert not cached
    assert sorted(entry.manifest.files) == ["figures/one.txt", "table.txt"]


def test_a_held_lock_times_out(tmp_path: Path) -> None:
    lock = tmp_path / "one.lock"
    with (
        exclusive(lock),
        pytest.raises(LockTimeout, match=r"one\.lock"),
        exclusive(lock, timeout_s=0.1),
    ):
        pass
    assert not lock.exists()


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    entry, _ = build(tmp_path)
    manifest = json.loads((entry.path / MANIFEST).read_text())
    assert manifest["files"]["table.txt"]["bytes"] == len("content")
