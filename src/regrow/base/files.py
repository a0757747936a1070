"""Files that are written completely or not at all."""

from __future__ import annotations

import glob
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR
from typing import Any

WRITING = ".writing-"
# A temporary file that nobody has written to for this long belongs to a process that was killed.
ABANDONED_AFTER_S = 3600.0
# Each fails only if another process removes a folder between two system calls.
ATTEMPTS = 100


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and moves what was written there to `path`.

    The name ends as `path` does, since many libraries choose the format by it, and is unique: of
    two processes that write `path` at once, the later one wins. After an error `path` is as it was.
    What a killed process left is removed by the next writer of `path` and by `regrow gc`.
    """
    make_folder(path.parent)
    remove_abandoned(path.parent, path.name)
    temporary = path.with_name(f"{WRITING}{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        move_into_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False))


def move_into_place(temporary: Path, path: Path) -> None:
    """Renames a finished file to `path` in the same file system; both are on disk afterwards."""
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync(path.parent)


def sync_folder(folder: Path, *, parents: int = 1) -> None:
    """Waits until everything in a folder is on disk, and so many of the folders above it."""
    for where, _, names in os.walk(folder):
        for name in (*names, "."):
            _sync(Path(where) / name)
    for parent in folder.parents[:parents]:
        _sync(parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def remove_abandoned(
    folder: Path, name: str | None = None, *, older_than_s: float = ABANDONED_AFTER_S
) -> None:
    """Removes temporary files of killed processes: those of the file `name`, or of all files.

    Args:
        older_than_s: their age in seconds; 0 where a lock excludes other writers.
    """
    pattern = f"{WRITING}*-{glob.escape(name)}" if name else f"**/{WRITING}*"
    for path in find_paths(folder, pattern):
        try:
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()
        except FileNotFoundError:  # its writer has just finished
            continue


def append_line(path: Path, text: str) -> None:
    """Adds a line to a log, on disk before this returns; the caller holds a lock.

    A line that a kill cut short is ended first, so that it spoils none but itself.
    """
    make_folder(path.parent)
    with path.open("ab+") as stream:
        broken = False
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            broken = stream.read(1) != b"\n"
        stream.write((b"\n" if broken else b"") + text.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def remove_empty_parents(path: Path, stop: Path) -> None:
    """Removes the directories above `path` that are empty, up to `stop`."""
    for parent in path.parents:
        if parent == stop:
            return
        try:
            parent.rmdir()
        except OSError:  # it is not empty, as another process may just have written there
            return


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, also while another process removes empty ones."""
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError, FileExistsError):
            return path.mkdir(parents=True, exist_ok=True)
    return path.mkdir(parents=True, exist_ok=True)


def find_paths(folder: Path, pattern: str) -> list[Path]:
    """What matches a pattern, sorted, also while another process removes folders below."""
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError):
            return sorted(folder.glob(pattern))
    return sorted(folder.glob(pattern))


def list_stats(path: Path) -> list[os.stat_result]:
    """The status of a file, or of each file below a folder, if it is not removed meanwhile."""
    paths = [Path(parent) / name for parent, _, names in os.walk(path) for name in names]
    found = []
    for each in paths or [path]:
        with suppress(FileNotFoundError):
            stat = each.stat()
            if not S_ISDIR(stat.st_mode):
                found.append(stat)
    return found
