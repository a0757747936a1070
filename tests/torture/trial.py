"""A trial: an operation is killed at a moment, done again, and compared with an undisturbed one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.base.home import Home
from tests.support.commands import REGROW, Launcher
from tests.torture.outcome import Outcome, compare, list_leftovers, read_outcome
from tests.torture.window import BEGUN, ENDED, Window, list_arguments
from tests.torture.world import PATIENCE_S, Operation

LOOK_EVERY_S = 0.0005
# After so long, all that a killed process left is removed by `regrow gc`.
OLD_S = 31 * 24 * 3600.0


@dataclass(frozen=True)
class Moment:
    """When an operation is killed.

    Attributes:
        share: of the operation, from 0 to 1.
        by_event: whether its events on files are counted, or its seconds.
    """

    share: float
    by_event: bool

    def __str__(self) -> str:
        return f"{self.share:.4f} of its {'events' if self.by_event else 'seconds'}"


@dataclass(frozen=True)
class Undisturbed:
    """An operation that nobody killed: what it left, its events and its seconds."""

    outcome: Outcome
    events: int
    seconds: float


class Bench:
    """A place for trials, one at a time: always the same path, as some results hold it.

    Args:
        folder: the place.
        launcher: starts the commands.
    """

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder = folder
        self.launcher = launcher
        self.home = Home(folder / "home")

    def watch(self, operation: Operation) -> Undisturbed:
        """Does an operation without killing it."""
        marks = self._prepare(operation)
        command = list_arguments(marks, self._window(operation), 0, *operation.command)
        done = self.launcher.run(
            *command,
            env=operation.environment(self.folder),
            cwd=self.folder,
            timeout_s=PATIENCE_S,
        )
        assert done.returncode == 0, f"{operation.name}\n{done.stderr}"
        found: Mapping[str, Any] = json.loads((marks / ENDED).read_text())
        return Undisturbed(read_outcome(self.home), int(found["events"]), float(found["seconds"]))

    def kill(self, operation: Operation, moment: Moment, expected: Undisturbed) -> bool:
        """Starts an operation and kills it; whether it was at work then."""
        marks = self._prepare(operation)
        fatal = 1 + int(moment.share * expected.events) if moment.by_event else 0
        arguments = list_arguments(marks, self._window(operation), fatal, *operation.command)
        command = self.launcher.start(
            *arguments, env=operation.environment(self.folder), cwd=self.folder
        )
        end = time.monotonic() + PATIENCE_S
        while command.poll() is None:
            assert time.monotonic() < end, f"{operation.name} takes too long"
            if not moment.by_event and (marks / BEGUN).exists():
                time.sleep(moment.share * expected.seconds)
                command.kill()
            time.sleep(LOOK_EVERY_S)
        was_killed = command.returncode == -signal.SIGKILL
        return was_killed and (marks / BEGUN).exists() and not (marks / ENDED).exists()

    def repeat(self, operation: Operation, expected: Undisturbed) -> list[str]:
        """Does the operation again after it was killed; what differs then, a line each."""
        code, said = self._run(operation, *operation.command)
        if code != 0 and not (code == 2 and operation.done and operation.done in said):
            return [f"the second attempt ended with {code}:\n{said}"]
        differences = compare(read_outcome(self.home), expected.outcome)
        return differences or self._find_what_stays(operation)

    def _find_what_stays(self, operation: Operation) -> list[str]:
        """Temporary files that not even `regrow gc` removes when they are old."""
        if not list_leftovers(self.home):
            return []
        for path in self.home.path.rglob("*"):
            if any(mark in str(path) for mark in (".writing-", ".tmp")):
                then = time.time() - OLD_S
                os.utime(path, (then, then))
        code, said = self._run(operation, "gc", "--keep", "9")
        if code != 0:
            return [f"regrow gc ended with {code}:\n{said}"]
        return [f"regrow gc left {name}" for name in list_leftovers(self.home)]

    def _run(self, operation: Operation, *command: str) -> tuple[int, str]:
        done = self.launcher.run(
            *REGROW,
            *command,
            env=operation.environment(self.folder),
            cwd=self.folder,
            timeout_s=PATIENCE_S,
        )
        return done.returncode, done.stderr

    def _prepare(self, operation: Operation) -> Path:
        """Makes the home anew; the folder of the marks."""
        shutil.rmtree(self.folder, ignore_errors=True)
        marks = self.folder / "marks"
        marks.mkdir(parents=True)
        operation.prepare(self.home.path)
        return marks

    def _window(self, operation: Operation) -> Window:
        return Window(str(self.home), operation.begin, operation.end, operation.path)
