"""Fixtures that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

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
Regrow = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mirror() -> Path:
    """The folder with the real files; the test is skipped where there is none."""
    folder = os.environ.get("REGROW_MIRROR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REGROW_MIRROR names no folder with the real files")
    return Path(folder).resolve()


def own_environment(folder: Path) -> dict[str, str]:
    """The environment of a process whose home is in a folder."""
    return {
        **{key: value for key, value in os.environ.items() if key != "REGROW_MIRROR"},
        "REGROW_HOME": str(folder / "home"),
        "PREFECT_HOME": str(folder / "prefect"),
    }


@pytest.fixture
def regrow(tmp_path: Path) -> Regrow:
    """Runs the command line in a process and a home of its own; returns what it printed."""

    def run(
        *arguments: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "regrow.cli", *map(str, arguments)],
            env={**own_environment(tmp_path), **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run
