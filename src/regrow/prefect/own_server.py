"""A Prefect server for one command, where the user has named none.

Prefect would start one itself, but in the terminal's process group: Ctrl-C would end the server
before the run could report what became of it, and after SIGKILL the server would stay. Prefect is
not imported here, so that the server starts while this process imports it.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from regrow.base.errors import Unreachable, UserError
from regrow.base.foreign_variables import find_refused_variable
from regrow.base.home import Home
from regrow.prefect.password import CLIENT_VARIABLE, SERVER_VARIABLE, USER
from regrow.prefect.user_settings import (
    API_URL,
    DATABASE_PARTS,
    DATABASE_URLS,
    PREFECT_HOME,
    find_choice,
    keep_below,
)

HOST = "127.0.0.1"
START_TIMEOUT_VARIABLE = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
START_TIMEOUT_S = 120.0
# By which this server would not be where its clients look for it.
LEFT_OUT = ("PREFECT_SERVER_API_BASE_PATH",)
# Set while the server is that of this command, which has no pages and ends with it.
OWN = "REGROW_OWN_SERVER"
# How long it may take to store what it has received.
END_S = 5.0


class OwnServer:
    """A server that has been started.

    Attributes:
        url: its API.
        variables: what its clients need in their environment.
    """

    def __init__(self, home: Home) -> None:
        check_prefect_home()
        self.log = home.prefect_log
        databases = map(find_choice, (*DATABASE_URLS, *DATABASE_PARTS))
        self.database = next(filter(None, databases), None)
        with socket.socket() as listening:
            listening.bind((HOST, 0))
            # From here on connections wait until the server answers.
            listening.listen()
            self.url = f"http://{HOST}:{listening.getsockname()[1]}/api"
            password = f"{USER}:{secrets.token_urlsafe(24)}"
            kept = keep_below(home)
            self.variables = {API_URL: self.url, CLIENT_VARIABLE: password, OWN: "1", **kept}
            self.process = self._start(listening, {SERVER_VARIABLE: password, **kept})

    def _start(
        self, listening: socket.socket, variables: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        descriptor = listening.fileno()
        module = "regrow.prefect.server_process"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, str(descriptor), str(os.getpid())],
                env={
                    **{name: v for name, v in os.environ.items() if name not in LEFT_OUT},
                    "PREFECT_UI_ENABLED": "0",
                    "PREFECT__SERVER_EPHEMERAL": "1",
                    **variables,
                },
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Waits until it answers.

        Raises:
            UserError: it has ended, or does not answer in time.
        """
        import httpx

        timeout = float(os.environ.get(START_TIMEOUT_VARIABLE) or START_TIMEOUT_S)
        try:
            answer = httpx.get(f"{self.url}/health", timeout=timeout, trust_env=False)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            said = self.log.read_text(encoding="utf-8", errors="replace").strip()
            lines = said.splitlines()
            raise find_refused_variable(said) or UserError(
                "the Prefect server of this run did not start",
                where=str(self.log),
                received=lines[-1] if lines else f"{type(error).__name__}: {error}",
                remedies=[
                    f"check {self.database.where}" if self.database else "see the complete log",
                    "regrow run --no-prefect runs without a server",
                    f"or set {API_URL} to another server",
                ],
            ) from error

    def end(self) -> None:
        """Ends it when it has stored what it has received."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def run_server(home: Home) -> Iterator[OwnServer]:
    """A server that starts now and ends with the block, or with this process."""
    server = OwnServer(home)
    try:
        yield server
    finally:
        server.end()


def check_prefect_home() -> None:
    """Makes sure that the folder that the user chose for Prefect can be used.

    Raises:
        UserError: it cannot.
    """
    chosen = find_choice(PREFECT_HOME)
    if chosen is None:
        return
    folder = Path(chosen.value).expanduser()
    problem = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            problem = "it is not writable"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise UserError(
            "Prefect cannot write its database to the configured folder",
            where=chosen.where,
            received=f"{chosen.value}: {problem}",
            expected="a folder that this account can write to",
            remedies=["correct the setting, or remove it to use REGROW_HOME"],
        )


def check_answers(chosen_url: str, where: str) -> None:
    """Makes sure that the server that the user has named answers.

    Raises:
        Unreachable: it does not.
    """
    import httpx

    try:
        httpx.get(f"{chosen_url.rstrip('/')}/health", timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(
            "the Prefect server does not respond",
            where=where,
            received=f"{chosen_url}: {type(error).__name__}: {error}",
            remedies=[
                "start it; make ui starts a server on this machine",
                "or remove the setting, so that each run starts its own server",
                "regrow run --no-prefect runs without a server",
            ],
        ) from error
