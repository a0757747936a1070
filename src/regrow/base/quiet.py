"""Variables that keep the telemetry and the chatter of libraries away from a user's process."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# For before the libraries are imported, and only where the user has not chosen otherwise.
QUIET_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # Its default of 20 s is too short for a first start on a small machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Drops warnings and what compiled libraries write to standard error inside.

    TensorFlow reports a missing GPU at every start, before any of its settings apply, and tqdm that
    there are no widgets. A notebook would show it in the cell. Errors are raised as usual.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
