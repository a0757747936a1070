"""Wheels: of this package, and of packages that tests write."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import REPOSITORY


def build_wheel(source: Path, folder: Path) -> Path:
    """The wheel of the project at `source`, built into `folder`."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack_wheel(folder: Path) -> Path:
    """A folder with what regrow's wheel installs; on PYTHONPATH it comes before the checkout."""
    with zipfile.ZipFile(build_wheel(REPOSITORY, folder)) as archive:
        archive.extractall(folder / "site")
    return folder / "site"
