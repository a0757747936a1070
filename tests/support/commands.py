"""Commands as tests run them: in a process, a home and a folder of their own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
LAUNCHER = Path(__file__).with_name("launcher.py")
REGROW = ("-m", "regrow.cli")
LIBRARIES = (
    "keras",  # and its backend
    "great_expectations",
    "matplotlib.pyplot",
    "mlflow",
    "nltk",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.ensemble",
)
# A busy machine may take ten times as long; who waits longer than this waits in vain.
PATIENCE_S = 900.0


def own_environment(folder: Path) -> dict[str, str]:
    """The environment of a process whose home is in a folder."""
    return {
        **{key: value for key, value in os.environ.items() if key != "REGROW_MIRROR"},
        "REGROW_HOME": str(folder / "home"),
        "PREFECT_HOME": str(folder / "prefect"),
    }


@dataclass
class Command:
    """A process under way, to be waited for or killed as a `subprocess.Popen`."""

    arguments: list[str]
    pid: int
    launcher: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path
    returncode: int | None = None

    def poll(self, timeout_s: float = 0) -> int | None:
        """The exit code, or None while it runs."""
        answers = self.launcher.stdout
        assert answers
        if self.returncode is None and select.select([answers], [], [], timeout_s)[0]:
            self.returncode = int(answers.readline())
        return self.returncode

    def kill(self) -> None:
        """Ends it and all that it started by SIGKILL, unasked and unwarned."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.poll(timeout_s=60)

    def wait(self, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """What it printed.

        Raises:
            subprocess.TimeoutExpired: it takes longer, and was killed.
        """
        code = self.poll(timeout_s)
        if code is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.arguments, timeout_s)
        printed = self.stdout.read_text(), self.stderr.read_text()
        return subprocess.CompletedProcess(self.arguments, code, *printed)


class Launcher:
    """Starts Python, one process at a time, without the time that imports take: see launcher.py.

    Args:
        folder: what the processes print goes to files in it.
        env: the environment in which the libraries are imported.
        libraries: what is imported.
    """

    def __init__(
        self, folder: Path, env: Mapping[str, str], libraries: Iterable[str] = LIBRARIES
    ) -> None:
        self.folder = folder
        self.env = env
        self.process = subprocess.Popen(
            [sys.executable, str(LAUNCHER), *libraries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            bufsize=0,
        )
        self.numbers = itertools.count()
        self.last: Command | None = None

    def start(
        self, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> Command:
        """Starts Python with these arguments; ends what a failed test left running."""
        if self.last:
            self.last.kill()
        number = next(self.numbers)
        stdout, stderr = (self.folder / f"{number}.{name}" for name in ("out", "err"))
        for path in (stdout, stderr):
            path.touch()
        command = [str(argument) for argument in arguments]
        order = {
            "arguments": command,
            "env": dict(self.env if env is None else env),
            "cwd": str(cwd),
            "stdout": str(stdout),
            "stderr": str(stderr),
        }
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        pid = int(self.process.stdout.readline())
        self.last = Command(command, pid, self.process, stdout, stderr)
        return self.last

    def run(
        self,
        *arguments: str | Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Runs Python with these arguments to its end."""
        return self.start(*arguments, env=env, cwd=cwd).wait(timeout_s)

    def close(self) -> None:
        """Ends the process that others are forked from."""
        if self.last:
            self.last.kill()
        self.process.communicate()


def list_files(folder: Path) -> list[Path]:
    """The files below a folder in which processes write and remove, so that none may be there."""
    return [Path(where) / name for where, _, names in os.walk(folder) for name in names]


def wait_for(
    what: str,
    found: Callable[[], T | None],
    timeout_s: float = PATIENCE_S,
    *,
    every_s: float = 0.5,
) -> T:
    """The first value of `found` that counts as true."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(every_s)
    raise AssertionError(f"{what} did not come within {timeout_s:.0f} s")
