"""In the process that is to be killed: notices when an operation is at work, and may end it there.

    python -c CODE FOLDER WINDOW FATAL ARGUMENT...

runs `regrow ARGUMENT...`. Python tells its audit hooks of each file before it is opened, made,
renamed or removed, so the order of these events is the order in which the disk changes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CODE = "from tests.torture.window import main; main()"
BEGUN, ENDED = "begun", "ended"
# Events with a path as their first argument.
EVENTS = {
    "open",
    "os.listdir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.scandir",
    "os.utime",
    "shutil.copyfile",
    "shutil.rmtree",
    "sqlite3.connect",
}


@dataclass(frozen=True)
class Window:
    """From which event to which an operation is at work.

    Attributes:
        home: only events on files below it count.
        begin: the name of the first event.
        end: the name of the last one.
        path: part of the path in both.
    """

    home: str
    begin: str
    end: str
    path: str


class Watch:
    """Counts the events of a window.

    Args:
        folder: gets a file `begun` when the window begins, and `ended` with the number of events
            and seconds when it ends.
        fatal: before this event of the window, this process and all of its group are killed; 0 for
            none.
    """

    def __init__(self, folder: Path, window: Window, fatal: int) -> None:
        self.folder = folder
        self.window = window
        self.fatal = fatal
        self.count = 0
        self.began_s: float | None = None
        self.has_ended = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Is told of each event, before it happens."""
        if event not in EVENTS or self.has_ended or not arguments:
            return
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes, Path)) else ""
        if not path.startswith(self.window.home):
            return
        if self.began_s is None:
            if event != self.window.begin or self.window.path not in path:
                return
            self.began_s = time.monotonic()
            (self.folder / BEGUN).touch()
        self.count += 1
        if self.count == self.fatal:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        if event == self.window.end and self.window.path in path:
            self.has_ended = True
            found = {"events": self.count, "seconds": time.monotonic() - self.began_s}
            (self.folder / ENDED).write_text(json.dumps(found))


def list_arguments(folder: Path, window: Window, fatal: int, *command: str) -> list[str]:
    """The arguments of Python that run a command of regrow under watch."""
    return ["-c", CODE, str(folder), json.dumps(asdict(window)), str(fatal), *command]


def main() -> None:
    """Runs regrow under watch."""
    _, folder, window, fatal, *command = sys.argv
    sys.addaudithook(Watch(Path(folder), Window(**json.loads(window)), int(fatal)))
    sys.argv = ["regrow", *command]
    from regrow.cli import main as regrow

    regrow()
