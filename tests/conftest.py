"""Fixtures that several test files share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from regrow.cli.documents import check_document
from tests.support.commands import REGROW, Launcher, own_environment
from tests.support.homes import make_once

# No telemetry and no chatter from libraries; child processes inherit these.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# On a busy machine PyTorch's threads wait for each other: ten times as long for each small step.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE = REPOSITORY / "data" / "samples" / "air-quality.csv"
QUICK_RUN = ("run", "air-quality", "--preset", "quick", "--sample", "--no-prefect", "--json")
Regrow = Callable[..., "subprocess.CompletedProcess[str]"]
# Files that take minutes begin first, so that the processes of `make test` end together.
LONG = (
    "prefect/test_server",
    "models/test_question_answering_model",
    "prefect/test_flows",
    "models/test_picture_models",
    "training/test_training",
    "cli/test_cli",
    "models/test_stacked_autoencoder",
    "registry/test_old_home",
    "pipeline/test_walk",
    "pipeline/test_kill",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {REPOSITORY / "tests" / f"{name}.py": place for place, name in enumerate(LONG)}
    assert all(path.exists() for path in places)
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def mirror() -> Path:
    """The folder with the real files; the test is skipped where there is none."""
    folder = os.environ.get("REGROW_MIRROR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REGROW_MIRROR names no folder with the real files")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts commands; one for all tests of a process."""
    launcher = Launcher(tmp_path_factory.mktemp("launcher"), os.environ)
    yield launcher
    launcher.close()


@pytest.fixture
def regrow(launcher: Launcher, tmp_path: Path) -> Regrow:
    """Runs the command line in a process and a home of its own; returns what it printed.

    What it prints with --json is held against the documented schema.
    """

    def run(
        *arguments: str | Path,
        home: Path = tmp_path / "home",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        environment = {**own_environment(tmp_path), "REGROW_HOME": str(home), **(env or {})}
        done = launcher.run(*REGROW, *arguments, env=environment, cwd=tmp_path, timeout_s=timeout_s)
        if "--json" in arguments and done.stdout:
            check_document(name_command(arguments), done.stdout)
        return done

    return run


def name_command(arguments: Sequence[str | Path]) -> str:
    """The command as the schema of its output names it."""
    first, second = (str(one) for one in (*arguments, "")[:2])
    return f"{first} {second}" if first == "bundle" else first


@pytest.fixture(scope="session")
def trained(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run of air-quality on the sample; tests change copies of it."""

    def train(folder: Path) -> None:
        environment = own_environment(folder)
        done = launcher.run(*REGROW, *QUICK_RUN, env=environment, cwd=folder)
        assert done.returncode == 0, done.stderr

    return make_once("trained", train, tmp_path_factory) / "home"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database; making one takes seconds, copying it none."""
    from tests.support.registries import open_registry

    home = tmp_path_factory.mktemp("mlflow")
    open_registry(home)
    return home / "mlflow.db"
