"""Prefect servers and workers of a test's own: real processes that end with it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from filelock import FileLock

from regrow.base.home import Home
from tests.conftest import REPOSITORY
from tests.support.commands import PATIENCE_S, wait_for

BIN = Path(sys.executable).parent
PREFECT = str(BIN / "prefect")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# Settings of other servers, left by a harness or a person, must not win over ours.
FOREIGN = (
    "REGROW_MIRROR",
    "MLFLOW_TRACKING_URI",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
)
S3_ACCESS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "no secret"}
# Nobody waits in a test as long as a server in use may.
IMPATIENT = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "1",
}


def start(
    *command: str, env: Mapping[str, str], log: Path, cwd: Path = REPOSITORY
) -> subprocess.Popen[bytes]:
    """Starts a process with a group of its own."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and the children that it started, by its group."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def kill(process: subprocess.Popen[bytes]) -> None:
    """What a power cut does: the process and its children are gone, unasked and unwarned."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@dataclass(frozen=True)
class Server:
    """A Prefect server, and what is needed to talk to it.

    Attributes:
        url: its API.
        env: the environment of its clients: commands, workers.
        folder: logs go here, and the homes of Prefect and regrow.
    """

    url: str
    env: dict[str, str]
    folder: Path

    @property
    def home(self) -> Path:
        """The REGROW_HOME of its workers."""
        return Path(self.env["REGROW_HOME"])

    @cached_property
    def client(self) -> httpx.Client:
        """Asks the API, with the password if there is one."""
        user, _, password = self.env.get("PREFECT_API_AUTH_STRING", "").partition(":")
        client = httpx.Client(auth=(user, password) if user else None, timeout=60)
        name = uuid.uuid4().hex
        answer = client.get(f"{self.url}/csrf-token", params={"client": name})
        if answer.is_success:  # this server asks for it
            token = answer.json()["token"]
            client.headers.update({"Prefect-Csrf-Client": name, "Prefect-Csrf-Token": token})
        return client

    def post(self, path: str, body: Any, *, method: str = "POST") -> Any:
        """An answer of its API; a server that is busy (503) is asked again, as its clients do."""

        def ask() -> list[httpx.Response]:  # a refusal counts as false, a list does not
            try:
                answer = self.client.request(method, f"{self.url}/{path}", json=body)
            except httpx.TimeoutException:
                return []
            return [answer] if answer.status_code != 503 else []

        (answer,) = wait_for(f"an answer to {method} {path}", ask)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def call(self, *command: str, cwd: Path = REPOSITORY) -> str:
        """What a command prints that must succeed and can ask nothing."""
        done = subprocess.run(
            command,
            env=self.env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def prefect(self, *arguments: str) -> str:
        """The Prefect command."""
        return self.call(PREFECT, "--no-prompt", *arguments)

    def regrow(self, *arguments: str) -> Any:
        """The JSON that a regrow command prints."""
        return json.loads(self.call(sys.executable, "-m", "regrow.cli", *arguments, "--json"))

    def flow_runs(self, *states: str, flow: str | None = None) -> list[dict[str, Any]]:
        """Flow runs in these states, the first started first."""
        only: dict[str, Any] = {"flow_runs": {"state": {"type": {"any_": list(states)}}}}
        if flow:
            only["flows"] = {"name": {"any_": [flow]}}
        runs: list[dict[str, Any]] = self.post("flow_runs/filter", only)
        return sorted(runs, key=lambda run: run["start_time"] or run["expected_start_time"])

    def read_run(self, run_id: str) -> dict[str, Any]:
        """One flow run."""
        run: dict[str, Any] = self.post(f"flow_runs/{run_id}", None, method="GET")
        return run

    def run_deployment(self, name: str, **parameters: Any) -> str:
        """Starts a run now; its id."""
        found = self.post(f"deployments/name/{name}", None, method="GET")
        body = {
            "parameters": parameters,
            "state": {"type": "SCHEDULED"},
            "idempotency_key": uuid.uuid4().hex,  # it may have to be asked for twice
        }
        return str(self.post(f"deployments/{found['id']}/create_flow_run", body)["id"])

    def set_parameters(self, name: str, **parameters: Any) -> None:
        """Changes the usual parameters of a deployment, as its page in the UI does."""
        found = self.post(f"deployments/name/{name}", None, method="GET")
        body = {"parameters": {**found["parameters"], **parameters}}
        self.post(f"deployments/{found['id']}", body, method="PATCH")

    def wait_for_end(self, run_id: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """A flow run when it has ended, whatever became of it."""

        def ended() -> Any:
            run = self.read_run(run_id)
            return run if run["state_type"] in ENDED else None

        run: dict[str, Any] = wait_for(f"the end of {run_id}", ended, timeout_s)
        return run

    def task_runs(self, run_id: str) -> list[dict[str, Any]]:
        """The task runs of a flow run, the first started first."""
        only = {"flow_runs": {"id": {"any_": [run_id]}}}
        runs: list[dict[str, Any]] = self.post("task_runs/filter", only)
        return sorted(runs, key=lambda run: run["start_time"] or "")

    def start_worker(
        self, pool: str, *, cwd: Path = REPOSITORY, **env: str
    ) -> subprocess.Popen[bytes]:
        """A worker of a pool; its log is in the folder."""
        return start(
            PREFECT,
            *("worker", "start", "--pool", pool, "--name", f"{pool}-{time.monotonic_ns()}"),
            env={**self.env, **env},
            log=self.folder / f"worker-{pool}.log",
            cwd=cwd,
        )

    @contextmanager
    def worker(self, pool: str, *, cwd: Path = REPOSITORY, **env: str) -> Iterator[None]:
        """A worker while the block lasts."""
        process = self.start_worker(pool, cwd=cwd, **env)
        try:
            yield
        finally:
            stop(process)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def client_environment(folder: Path, url: str) -> dict[str, str]:
    """What commands and workers of a server need, with homes of their own."""
    return {
        **{name: value for name, value in os.environ.items() if name not in FOREIGN},
        **IMPATIENT,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": url,
        "REGROW_HOME": str(folder / "home"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def run_s3() -> Iterator[str]:
    """An S3 server on this machine while the block lasts; with `S3_ACCESS` it lets everybody in.

    Yields the address of a bucket for REGROW_SHARED_STORE, with a place for a folder's name.
    """
    from moto.server import ThreadedMotoServer

    port = free_port()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        httpx.put(f"http://127.0.0.1:{port}/results").raise_for_status()
        yield f"s3://results/{{}}?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    finally:
        server.stop()


def make_database(prefect_home: Path) -> Path:
    """Fills a PREFECT_HOME with an empty database: its migrations (7 s) run only once."""
    template = REPOSITORY / ".pytest_cache" / f"prefect-{version('prefect')}.db"
    template.parent.mkdir(exist_ok=True)
    with FileLock(f"{template}.lock"):
        if not template.exists():
            with tempfile.TemporaryDirectory() as scratch:
                subprocess.run(
                    [PREFECT, "server", "database", "upgrade", "-y"],
                    env={**os.environ, "PREFECT_HOME": scratch},
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
                shutil.copyfile(Path(scratch) / "prefect.db", f"{template}.new")
            Path(f"{template}.new").replace(template)
    prefect_home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, prefect_home / "prefect.db")
    return prefect_home


@contextmanager
def use_server(folder: Path) -> Iterator[None]:
    """Has the flows of this process run on a server of their own, while the block lasts."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with run_server(folder) as server, temporary_settings({PREFECT_API_URL: server.url}):
        yield


@contextmanager
def run_server(folder: Path, *, password: str = "", **settings: str) -> Iterator[Server]:
    """A Prefect server on this machine only, while the block lasts.

    Args:
        folder: logs and homes.
        password: with one, it is the server that `regrow ui` starts.
        settings: its environment, and that of its clients.
    """
    port = free_port()
    make_database(folder / "prefect")
    url = f"http://127.0.0.1:{port}/api"
    env = {**client_environment(folder, url), **settings}
    command: tuple[str, ...]
    if password:
        from regrow.prefect.ui import make_environment, prefect_command

        env |= make_environment(Home(Path(env["REGROW_HOME"])), port, password)
        command = prefect_command(port)
    else:
        command = (PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port))
    process = start(*command, env=env, log=folder / "server.log")

    def healthy() -> bool:
        assert process.poll() is None, (folder / "server.log").read_text()
        try:
            return httpx.get(f"{url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_for("the server", healthy)
        yield Server(url, env, folder)
    finally:
        stop(process)
