"""Sets up the terminal for a command: no telemetry, and the logs of libraries kept off it."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from regrow.base.logs import log_to_terminal
from regrow.base.quiet import QUIET_ENVIRONMENT
from regrow.base.settings import read_environment


def prepare_terminal(*, verbose: bool = False) -> None:
    """Disables the telemetry of dependencies, and hides their logs unless `verbose`."""
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    log_to_terminal()
    if verbose:  # Prefect shows the lines of all libraries itself
        logging.getLogger("regrow").propagate = False
        return
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # TensorFlow warns about retracing when several small models are compiled in turn.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    divert_native_output(read_environment().home.native_log)


def divert_native_output(log: Path) -> None:
    """Sends what compiled libraries write to standard error into a file; Python's output stays.

    TensorFlow reports a missing GPU there at every start, before any of its settings apply.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("wb")
    except OSError:  # the home is read-only, or its disk is full
        stream = open(os.devnull, "wb")  # noqa: SIM115
    sys.stderr.flush()
    # Python keeps writing to the terminal through a descriptor of its own.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    with stream:
        os.dup2(stream.fileno(), 2)
