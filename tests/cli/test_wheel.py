"""The wheel: it carries the package and its data, runs flows, and deploys from a checkout only."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SAMPLE
from tests.support.commands import own_environment
from tests.support.wheels import build_wheel, unpack_wheel

pytestmark = pytest.mark.slow
Installed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    return unpack_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def installed(site: Path, tmp_path: Path) -> Installed:
    """Runs the command line of the wheel, outside the checkout."""

    def run(*arguments: str, path: Path = site) -> subprocess.CompletedProcess[str]:
        folders = os.pathsep.join(str(folder) for folder in dict.fromkeys((site, path)))
        environment = {**os.environ, **own_environment(tmp_path), "PYTHONPATH": folders}
        return subprocess.run(
            [sys.executable, "-m", "regrow.cli", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def test_the_wheel_holds_one_package_with_its_data_and_no_deployments(site: Path) -> None:
    names = {path.name for path in site.iterdir() if path.suffix != ".dist-info"}
    assert names == {"regrow"}
    assert {path.name for path in (site / "regrow" / "_project").iterdir()} == {
        "data",
        "prefect.yaml",
        "regrow.toml",
    }


@pytest.mark.e2e
def test_a_model_runs_as_a_flow_from_the_wheel(installed: Installed, tmp_path: Path) -> None:
    """Two stages show it: the file is copied by download and refused by clean."""
    (tmp_path / "spoiled.csv").write_bytes(SAMPLE.read_bytes().replace(b";698;", b";n/a;", 1))
    done = installed("run", "air-quality", "--source", "air-quality=spoiled.csv")
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr
    database = sqlite3.connect(tmp_path / "prefect" / "prefect.db")
    runs = database.execute("select name, state_type from task_run order by start_time").fetchall()
    database.close()
    assert runs == [("download", "COMPLETED"), ("clean", "FAILED")]


def test_deploying_needs_a_project(installed: Installed) -> None:
    done = installed("deploy")
    assert done.returncode == 2
    assert "there is nothing to deploy" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_installed_package_adds_a_model(installed: Installed, tmp_path: Path) -> None:
    """Built as a wheel, unpacked where Python finds it, and named by an entry point."""
    source = tmp_path / "plugin"
    (source / "tides").mkdir(parents=True)
    (source / "tides" / "__init__.py").write_text("")
    (source / "tides" / "model.py").write_text(
        "import regrow\n"
        "class Tides(regrow.Model):\n"
        "    title = 'the height of tides'\n"
        "    data = regrow.csv('tides.csv')\n"
        "    table = regrow.columns(target='height', numbers=['moon'])\n"
    )
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'tides'\nversion = '1'\n"
        "[project.entry-points.'regrow.models']\ntides = 'tides'\n"
    )
    with zipfile.ZipFile(build_wheel(source, tmp_path)) as archive:
        archive.extractall(tmp_path / "installed")
    listed = installed("list", path=tmp_path / "installed")
    assert listed.returncode == 0, listed.stderr
    assert "the height of tides" in listed.stdout
    assert "air-quality" in listed.stdout
    assert "the height of tides" not in installed("list").stdout
