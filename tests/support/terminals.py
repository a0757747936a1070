"""Commands at a terminal of their own, as a person has them: Ctrl-C is a key there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from tests.support.commands import PATIENCE_S, wait_for

CTRL_C = b"\x03"


class Terminal:
    """A command in the foreground of a pseudo-terminal.

    Attributes:
        process: the command.
        shown: everything that it has printed so far.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, *, columns: int = 80
    ) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**env, "TERM": "xterm"},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self.shown = ""
        self.family: dict[int, psutil.Process] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the last process has closed it
            while chunk := os.read(self.ours, 65536):
                self.shown += chunk.decode("utf-8", "replace")

    def press(self, keys: bytes) -> None:
        """Types keys; the terminal turns Ctrl-C into SIGINT for the foreground's processes."""
        os.write(self.ours, keys)

    def wait_for(self, text: str, timeout_s: float = PATIENCE_S) -> None:
        """Waits until the command has printed a text."""

        def found() -> bool:
            assert self.process.poll() is None or text in self.shown, self.shown
            return text in self.shown

        wait_for(text, found, timeout_s, every_s=0.02)

    def list_family(self) -> list[psutil.Process]:
        """The command and all its descendants, those that have moved to another session too."""
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.process.pid)
            for one in (top, *top.children(recursive=True)):
                self.family.setdefault(one.pid, one)
        return list(self.family.values())

    def list_orphans(self) -> list[str]:
        """The command lines of processes that `list_family` has seen and that are still alive."""
        alive = []
        for one in self.family.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                    alive.append(" ".join(one.cmdline()))
        return alive

    def end(self, timeout_s: float) -> tuple[int, float]:
        """Waits for the end; the exit code, and the seconds that it took from now."""
        started = time.monotonic()
        code = self.process.wait(timeout_s)
        took = time.monotonic() - started
        self._reader.join(5)
        return code, took

    def close(self) -> None:
        """Ends whatever is left."""
        for one in self.list_family():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        self.process.wait(30)
        os.close(self.ours)


def _take_terminal() -> None:
    # A job in the background of a shell, such as these tests, is started with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def at_terminal(
    *command: str, env: Mapping[str, str], cwd: Path, columns: int = 80
) -> Iterator[Terminal]:
    """A command at a terminal while the block lasts."""
    terminal = Terminal(command, env, cwd, columns=columns)
    try:
        yield terminal
    finally:
        terminal.close()
