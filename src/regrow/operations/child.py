"""One run in a process of its own, with its progress and its errors as if it ran here.

Seeds, compiled functions and the memory of libraries are global to a process. A run in one of its
own gives the same bits however many runs there were before.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, Any

from regrow.base.errors import ProcessDied, UserError
from regrow.base.progress import note, report
from regrow.base.quiet import QUIET_ENVIRONMENT
from regrow.pipeline.request import RunRequest

# A training notices an interruption between two epochs; after this it is killed, which does no
# harm either: what is on the disk is whole at any time.
GRACE_S = 60.0
TAIL_BYTES = 500

OnEpoch = Callable[[str, int, Mapping[str, float]], None]
"""Called as `on_epoch(training, epochs_done, values)`; what it raises ends the process."""


def run_in_process(
    request: RunRequest,
    *,
    environment: Mapping[str, str] | None = None,
    on_epoch: OnEpoch | None = None,
    shielded: bool = False,
) -> dict[str, Any]:
    """Runs a request in a process of its own; its progress goes to the present reporter.

    Whatever ends the wait (an interruption, an error of `on_epoch`) also ends the process. The run
    can then be continued from its last checkpoint.

    Args:
        environment: variables that differ from this process's.
        shielded: whether a terminal's Ctrl-C reaches the process through this one alone, which
            must then be the one that waits in the main thread.

    Returns:
        The summary of the run.

    Raises:
        UserError: the run failed for a reason that a user can fix.
        ProcessDied: it was killed; another attempt resumes where it was.
        RuntimeError: it failed otherwise.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "regrow.operations.job_process", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**QUIET_ENVIRONMENT, **os.environ, **(environment or {})},
            start_new_session=shielded,
        )
        try:
            answer = _listen(process, request, on_epoch)
            return _read_summary(answer, process.wait(), errors)
        except BaseException:
            _end(process)
            raise


def _listen(
    process: subprocess.Popen[bytes], request: RunRequest, on_epoch: OnEpoch | None
) -> dict[str, Any]:
    """Hands on what the process reports; returns its last line."""
    assert process.stdin
    assert process.stdout
    _send(process.stdin, request.model_dump_json().encode())
    message: dict[str, Any] = {}
    for line in process.stdout:
        message = json.loads(line)
        if "progress" in message:
            report(*message["progress"])
        elif "note" in message:
            note(message["note"])
        elif "epoch" in message and on_epoch:
            on_epoch(*message["epoch"])
    return message


def _read_summary(answer: Mapping[str, Any], code: int, errors: IO[bytes]) -> dict[str, Any]:
    """The summary in the last line of a process that ended with `code`, or its error."""
    if "error" in answer:
        raise UserError(**answer["error"])
    if code != 0 or "summary" not in answer:
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - TAIL_BYTES))
        tail = errors.read().decode(errors="replace").strip()
        failure = ProcessDied if code < 0 else RuntimeError
        raise failure(f"the process of the run ended with {code}: {tail}")
    summary: dict[str, Any] = answer["summary"]
    return summary


def _send(stream: IO[bytes], text: bytes) -> None:
    try:
        with stream:
            stream.write(text)
    except BrokenPipeError:
        pass  # it died at once; its exit code says how


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupts the process and waits until it has ended; a second interruption kills it."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
    finally:
        if process.stdout:
            process.stdout.close()
