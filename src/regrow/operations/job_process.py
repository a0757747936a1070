"""The process of one job: reads a `RunRequest` as JSON, runs its stages, answers in JSON lines.

    python -m regrow.operations.job_process PARENT < request.json

Each line is one object with one name: "progress" ([what, done, total]), "note" (a text), "epoch"
([training, epoch, values]), and at the end "summary", or "error" (the fields of a `UserError`; the
exit code is 2).
Standard error belongs to the libraries. It ends like a command under Ctrl-C on SIGINT, or when
nobody reads its answers any more: the checkpoints stay, and the next run goes on from them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from regrow.base.errors import UserError
from regrow.base.foreign_variables import ignore_foreign_variables
from regrow.base.logs import log_to_terminal
from regrow.base.parents import when_orphaned
from regrow.base.progress import noting_to, reporting_to, watching_epochs
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.base.system_errors import explain
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import RunRequest
from regrow.pipeline.runs import run_directly, summarize_run

# Progress is for eyes: more often than this they see no more.
EVERY_S = 0.1
INTERRUPTED = 130


def main() -> int:
    """Runs the request on standard input; returns the exit code."""
    ignore_foreign_variables()
    # As after SIGKILL, which the process that asked for the run may have met.
    when_orphaned(int(sys.argv[1]), partial(os._exit, INTERRUPTED))
    # A process that a shell has started in the background ignores it, and so would this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not get between the JSON
    try:
        return _run(RunRequest.model_validate_json(sys.stdin.buffer.read()), Answers(stream))
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        with contextlib.suppress(BrokenPipeError):
            stream.close()


class Answers:
    """Writes the lines of the answer."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._said = ("", 0.0)

    def send(self, name: str, value: Any) -> None:
        """Writes one line.

        Raises:
            KeyboardInterrupt: nobody reads it: the process that asked for the run has ended.
        """
        try:
            self.stream.write(json.dumps({name: value}, default=str) + "\n")
            self.stream.flush()
        except BrokenPipeError:
            raise KeyboardInterrupt("the process that started this run has ended") from None

    def progress(self, what: str, done: int, total: int) -> None:
        """Sends progress, but not each small step."""
        before, at = self._said
        now = time.monotonic()
        if what != before or (total and done >= total) or now - at >= EVERY_S:
            self._said = (what, now)
            self.send("progress", [what, done, total])

    def watch(self, settings: Settings, checkpoint: Path | None, epoch: int, values: Any) -> None:
        """Sends the figures of an epoch, under the training's name."""
        self.send("epoch", [name_training(settings, checkpoint), epoch, dict(values)])


def name_training(settings: Settings, checkpoint: Path | None) -> str:
    """What tells a training from the others of its stage: its folder for checkpoints."""
    scratch = settings.home.scratch
    if checkpoint is None or not checkpoint.is_relative_to(scratch):
        return ""
    _model, _stage, _fingerprint, *names = checkpoint.relative_to(scratch).parts
    return "/".join(names)


def _run(request: RunRequest, answers: Answers) -> int:
    log_to_terminal()
    settings = read_environment()
    pipeline = Pipeline(get_spec(request.model), request, settings)

    def watch(checkpoint: Path | None, epoch: int, values: Mapping[str, float]) -> None:
        answers.watch(settings, checkpoint, epoch, values)

    try:
        with (
            reporting_to(answers.progress),
            noting_to(partial(answers.send, "note")),
            watching_epochs(watch),
        ):
            summary = summarize_run(pipeline, run_directly(pipeline))
    except Exception as error:
        told = error if isinstance(error, UserError) else explain(error)
        if told is None:
            raise
        answers.send("error", told.fields())
        return told.exit_code
    answers.send("summary", summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
