"""A real Prefect server with a real worker: the deployment, its schedule, and a run on the worker.

Two of Prefect's dependencies, if too new, leave a server that looks healthy and schedules nothing;
this is the test that notices.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow
PREFECT = str(Path(sys.executable).with_name("prefect"))


def wait_for(what: str, found: Callable[[], Any], timeout_s: float = 120) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.5)
    raise AssertionError(f"{what} did not come within {timeout_s:.0f} s")


def start(*command: str, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        return subprocess.Popen(
            command,
            env=env,
            cwd=REPOSITORY,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and the children that it started, by its group."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    env = {
        **{name: value for name, value in os.environ.items() if name != "REGROW_MIRROR"},
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": url,
        "REGROW_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    # A URL of another server, left by a harness, must not win over ours.
    env.pop("PREFECT_SERVER_DATABASE_CONNECTION_URL", None)
    env.pop("PREFECT_API_DATABASE_CONNECTION_URL", None)
    process = start(
        PREFECT,
        "server",
        "start",
        *("--host", "127.0.0.1", "--port", str(port)),
        env=env,
        log=tmp_path / "server.log",
    )

    def healthy() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_for("the server", healthy)
        yield url, env
    finally:
        stop(process)


def prefect(*arguments: str, env: dict[str, str]) -> None:
    done = subprocess.run(
        [PREFECT, "--no-prompt", *arguments],
        env=env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def flow_runs(url: str, *states: str) -> list[dict[str, Any]]:
    only = {"flow_runs": {"state": {"type": {"any_": list(states)}}}}
    answer = httpx.post(f"{url}/flow_runs/filter", json=only, timeout=10)
    runs: list[dict[str, Any]] = answer.raise_for_status().json()
    return runs


def test_the_deployment_is_scheduled_and_runs_on_a_worker(
    server: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    url, env = server
    prefect("work-pool", "create", "local", "--type", "process", env=env)
    prefect("deploy", "--all", env=env)
    scheduled = wait_for("a scheduled run", lambda: flow_runs(url, "SCHEDULED"))
    assert all(run["auto_scheduled"] for run in scheduled)

    parameters = ("--param", "preset=quick", "--param", "data=sample")
    prefect("deployment", "run", "air-quality/daily", *parameters, env=env)
    worker = start(PREFECT, "worker", "start", "--pool", "local", env=env, log=tmp_path / "w.log")
    try:
        ended = wait_for(
            "the end of the run", lambda: flow_runs(url, "COMPLETED", "FAILED", "CRASHED"), 240
        )
    finally:
        stop(worker)
    assert [run["state_type"] for run in ended] == ["COMPLETED"], (tmp_path / "w.log").read_text()
    assert (tmp_path / "home" / "reports" / "air-quality.sample-v1.html").is_file()
