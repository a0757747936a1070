"""`regrow serve` as a process: eight clients while the champion changes, and bad starts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from regrow.base.home import Home
from regrow.registry.reviews import roll_back
from regrow.registry.versions import Registry
from tests.support.commands import own_environment, wait_for
from tests.support.second_version import publish_changed
from tests.support.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

CLIENTS, REQUESTS, CHANGES = 8, 3000, 6
MODEL_BYTES = 100 * 2**20
READING = {"timestamp": "2005-04-04T14:00:00", "pt08_s2_nmhc": 1046.0}
BODY = {"dataframe_records": [READING] * 3}


@pytest.fixture
def registry(trained: Path, tmp_path: Path) -> Registry:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}", "air-quality.sample", Home(home))
    publish_changed(registry, tmp_path / "second", 2.0)
    return registry


@pytest.fixture
def server(registry: Registry, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "regrow.cli", "serve", "air-quality", "--sample"),
                *("--port", str(port)),
            ],
            env=own_environment(tmp_path),
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for("an answer", lambda: _answers(url) or process.poll() is not None)
            assert process.poll() is None, (tmp_path / "serve.log").read_text()
            yield url, process
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.HTTPError:
        return False


def _wait_for_version(url: str, version: int) -> None:
    ready = {"version": version}
    wait_for(f"version {version}", lambda: httpx.get(f"{url}/ready").json() == ready)


def test_no_request_is_dropped_while_the_champion_changes(
    registry: Registry, server: tuple[str, subprocess.Popen[bytes]]
) -> None:
    url, process = server
    expected: dict[str, Any] = {}
    for version in ("1", "2"):
        if version == "2":
            roll_back(registry, 2)
            _wait_for_version(url, 2)
        answer = httpx.post(f"{url}/invocations", json=BODY)
        assert answer.headers["X-Regrow-Version"] == version
        expected[version] = answer.json()
    assert expected["1"] != expected["2"]
    before = psutil.Process(process.pid).memory_info().rss

    done, finished = Counter[str](), threading.Event()
    lock = threading.Lock()

    def ask_on() -> None:
        with httpx.Client(timeout=60) as client:
            while not finished.is_set():
                answer = client.post(f"{url}/invocations", json=BODY)
                assert answer.status_code == 200, answer.text
                version = answer.headers["X-Regrow-Version"]
                assert answer.json() == expected[version]
                with lock:
                    done[version] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask_on) for _ in range(CLIENTS)]
        try:
            for change in range(CHANGES):
                target = 1 + change % 2
                roll_back(registry, target, why="under load")
                _wait_for_version(url, target)
            wait_for(
                "all requests",
                lambda: done.total() >= REQUESTS or any(one.done() for one in clients),
            )
        finally:
            finished.set()
        for one in clients:
            one.result()
    assert min(done["1"], done["2"]) > 50
    assert done.total() >= REQUESTS
    after = psutil.Process(process.pid).memory_info().rss
    assert after - before < MODEL_BYTES, f"{before / 2**20:.0f} MiB, then {after / 2**20:.0f} MiB"


def test_it_ends_by_sigterm_and_answers_what_it_has_begun(
    server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, process = server
    with ThreadPoolExecutor(1) as pool:
        rows = {"dataframe_records": [READING] * 50_000}
        answer = pool.submit(httpx.post, f"{url}/invocations", json=rows, timeout=60)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert answer.result().status_code == 200
    process.wait(30)


def test_another_name_of_this_machine_is_refused(
    server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, _process = server
    assert httpx.get(f"{url}/ready", headers={"host": "evil.example"}).status_code == 400


def test_a_port_in_use_is_one_message(
    server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    port = server[0].rpartition(":")[2]
    command = ["serve", "air-quality", "--sample", "--port", port]
    done = _run(command, own_environment(tmp_path), tmp_path)
    assert done.returncode == 2
    assert f"port {port} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def _run(
    command: list[str], environment: dict[str, Any], folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "regrow.cli", *command],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
