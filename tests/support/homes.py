"""Homes that a run has filled, by this code or an older one: tests change copies of them."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

OLD_HOME = Path(__file__).with_name("old_home.tar.xz")


def make_once(
    name: str, make: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder that the first of the processes of pytest-xdist makes for all of them."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


def unpack_old_home(folder: Path) -> Path:
    """Unpacks the archive of `make_old_home.py`; returns the home."""
    with tarfile.open(OLD_HOME) as archive:
        archive.extractall(folder)
    return folder / "home"
