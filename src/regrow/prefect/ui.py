"""`regrow ui`: Prefect, MLflow and a worker on this machine, until Ctrl-C ends them together."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from prefect.settings import get_current_settings

from regrow.base.addresses import reroot_database
from regrow.base.dashboards import Dashboards, keep_dashboards, link_mlflow
from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.interruption import obey_signals_alone
from regrow.base.settings import Settings
from regrow.prefect.own_server import check_prefect_home
from regrow.prefect.password import CLIENT_VARIABLE, LOCAL_HOSTS, SERVER_VARIABLE, make_password
from regrow.prefect.user_settings import keep_below

HOST = "127.0.0.1"
# How long a process that was asked to end may take.
GRACE_S = 20.0
Process = subprocess.Popen[bytes]


def run_ui(settings: Settings, prefect_port: int, mlflow_port: int, *, schedules: bool) -> None:
    """Starts both servers, deploys, and runs a worker until Ctrl-C or until one of them ends.

    Args:
        settings: the home that the worker uses; the kept password is in it.
        prefect_port: where Prefect's server listens.
        mlflow_port: where MLflow's server listens, unless the settings name a server.
        schedules: whether schedules start runs; triggers always do.

    Raises:
        UserError: a port is in use, or one of the processes ended by itself.
    """
    own_mlflow = not settings.tracking_uri.startswith(("http://", "https://"))
    check_prefect_home()
    _check_ports([prefect_port, mlflow_port] if own_mlflow else [prefect_port])
    settings.home.prefect.mkdir(parents=True, exist_ok=True)  # SQLite makes no folders
    reroot_database(settings.home)
    env = _full_environment(settings.home, prefect_port)
    # All have sessions of their own, so that Ctrl-C reaches them from here only, the worker first:
    # it still reports to the server what became of its runs.
    with suppress(KeyboardInterrupt), _heed_signals(), ExitStack() as stack:
        running: dict[str, Process] = {}
        mlflow = settings.tracking_uri
        if own_mlflow:
            mlflow = f"http://{HOST}:{mlflow_port}"
            command = _mlflow_command(settings.tracking_uri, mlflow_port)
            running["MLflow's server"] = stack.enter_context(_run(command, env, signal.SIGTERM))
        keep_dashboards(settings.home, Dashboards(f"http://{HOST}:{prefect_port}", mlflow))
        server = stack.enter_context(_run(prefect_command(prefect_port), env, signal.SIGTERM))
        running["Prefect's server"] = server
        _wait_until_healthy(env["PREFECT_API_URL"], running)
        _deploy(env, schedules=schedules)
        _say(f"Prefect: http://{HOST}:{prefect_port}   (press Ctrl-C to stop)")
        _say(f"MLflow:  {link_mlflow(mlflow, 'experiments')}")
        _say(f"to send runs there: export PREFECT_API_URL={env['PREFECT_API_URL']}")
        worker = (sys.executable, "-m", "prefect", "worker", "start", "--pool", "local")
        running["the worker"] = stack.enter_context(_run(worker, env, signal.SIGINT))
        while True:
            _check_running(running)
            time.sleep(1)


def _full_environment(home: Home, port: int) -> dict[str, str]:
    return {
        # Seven processes that wait for evaluations of language models.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        **keep_below(home),
        **make_environment(home, port, choose_password(home)),
    }


def make_environment(home: Home, port: int, password: str) -> dict[str, str]:
    """What servers and worker get in their environment beside what is there."""
    origins = [f"http://{host}:{port}" for host in LOCAL_HOSTS]
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "REGROW_HOME": str(home),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        SERVER_VARIABLE: password,
        CLIENT_VARIABLE: password,
    }


def prefect_command(port: int) -> tuple[str, ...]:
    """Starts Prefect's server, in the environment that `make_environment` makes."""
    server = get_current_settings().server
    return (
        *(sys.executable, "-m", "uvicorn", "--factory", "regrow.prefect.ui_app:create_local_app"),
        *("--host", HOST, "--port", str(port), "--log-level", server.logging_level.lower()),
        *("--timeout-keep-alive", str(server.api.keepalive_timeout)),
    )


def choose_password(home: Home) -> str:
    """The user's own password, or the kept one, which is printed when it is generated."""
    chosen = get_current_settings().server.api.auth_string
    if chosen and chosen.get_secret_value():
        return chosen.get_secret_value()
    password, generated = make_password(home)
    if generated:
        _say(f"password for the Prefect UI: {password}")
    _say(f"regrow's commands read the password from {home.prefect_password}; for other programs:")
    _say(f'export {CLIENT_VARIABLE}="$(cat {shlex.quote(str(home.prefect_password))})"')
    return password


def _mlflow_command(tracking_uri: str, port: int) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", tracking_uri),
    )


def _check_ports(ports: Sequence[int]) -> None:
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                raise UserError(
                    f"port {port} is in use",
                    where=f"{HOST}:{port}",
                    received="another program uses this port",
                    remedies=[
                        "regrow ui --port 4300 --mlflow-port 5300",
                        "make ui PREFECT_PORT=4300 MLFLOW_PORT=5300",
                    ],
                )


def _deploy(env: Mapping[str, str], *, schedules: bool) -> None:
    option = "--schedules" if schedules else "--no-schedules"
    command = [sys.executable, "-m", "regrow.cli", "deploy", option]
    done = subprocess.run(command, env=env, check=False)
    if done.returncode:  # it has said why
        raise SystemExit(done.returncode)
    if not schedules:
        _say("schedules are paused; to activate them, use regrow ui --schedules, the switch on the")
        _say("page of a deployment, or prefect deployment schedule resume NAME ID")


@contextmanager
def _run(
    command: Sequence[str], env: Mapping[str, str], end_by: signal.Signals
) -> Iterator[Process]:
    """A process while the block lasts; it and its children are asked to end, then killed."""
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        for number in (end_by, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                _wait(process)


def _wait(process: Process) -> None:
    """Waits for the end; another Ctrl-C changes nothing, as the end has been asked for."""
    end = time.monotonic() + GRACE_S
    while process.poll() is None and time.monotonic() < end:
        try:
            process.wait(1)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue


def _wait_until_healthy(url: str, running: Mapping[str, Process]) -> None:
    import httpx

    while True:
        _check_running(running)
        try:
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == 200:
                return _check_running(running)  # it may be another program's answer
        except httpx.HTTPError:
            time.sleep(0.5)


def _check_running(running: Mapping[str, Process]) -> None:
    for name, process in running.items():
        if (code := process.poll()) is not None:
            raise UserError(
                f"{name} has stopped, so all other processes were stopped",
                received=f"exit code {code}",
                remedies=[
                    "see its last messages above",
                    "run regrow ui to start all processes again",
                ],
            )


@contextmanager
def _heed_signals() -> Iterator[None]:
    """SIGTERM acts as Ctrl-C does, and neither is ignored: a shell lets background jobs do so."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    obey_signals_alone()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(text, flush=True)
