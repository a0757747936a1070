from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regrow.base.files import (
    ABANDONED_AFTER_S,
    WRITING,
    atomic_write,
    make_folder,
    remove_empty_parents,
    write_json,
    write_text,
)

WRITER = """
import sys
from pathlib import Path
from regrow.base.files import write_text
for _ in range(50):
    write_text(Path(sys.argv[1]), sys.argv[2] * 100_000)
"""
KILLED = """
import sys, time
from pathlib import Path
from regrow.base.files import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_processes_that_write_one_file_at_once_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "same.txt"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "abc"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            seen.add(path.read_text())
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert seen <= {letter * 100_000 for letter in "abc"}
    assert names(tmp_path) == ["same.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "one.json"
    write_json(path, {"ä": 1})
    before = path.read_bytes()

    def fail() -> None:
        with atomic_write(path) as temporary:
            assert temporary.suffix == ".json"
            temporary.write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        fail()
    with pytest.raises(TypeError):
        write_json(path, {"one": object()})
    assert path.read_bytes() == before
    assert names(path.parent) == ["one.json"]


def test_the_file_of_a_killed_writer_is_removed_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "[one].txt"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.wait(10)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(WRITING)
    write_text(path, "whole")
    assert left.exists(), "it may belong to a process that is still writing"
    long_ago = time.time() - ABANDONED_AFTER_S - 1
    os.utime(left, (long_ago, long_ago))
    write_text(tmp_path / "other.txt", "another file")
    assert left.exists()
    write_text(path, "whole")
    assert names(tmp_path) == ["[one].txt", "other.txt"]


def make_folders(folder: Path, name: str) -> None:
    for _ in range(2000):
        path = folder / "a" / "b" / name
        make_folder(path)
        path.rmdir()
        remove_empty_parents(path, folder)


def test_folders_are_made_while_others_remove_empty_ones(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        for made in [pool.submit(make_folders, tmp_path, name) for name in ("x", "y", "z")]:
            made.result()
    assert list(tmp_path.iterdir()) == []
