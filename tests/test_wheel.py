"""The wheel: it carries flows, tasks and data, under no top-level name but `regrow`."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


def test_flows_are_importable_from_the_wheel_and_clash_with_nothing(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
        archive.extractall(site)
    assert {name for name in names if not name.endswith(".dist-info")} == {"regrow"}
    code = (
        "import sys\nfrom regrow.engine.config import find_project\n"
        "sys.path.insert(0, str(find_project()))\n"
        "import flows.air_quality, tasks.stages, regrow\n"
        "print(regrow.__file__, flows.__file__, tasks.__file__, sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site), "PREFECT_HOME": str(tmp_path / "prefect")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(site)) for line in done.stdout.splitlines()), done.stdout
