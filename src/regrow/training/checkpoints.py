"""Checkpoints of interrupted work: complete files that only the work that wrote them can load."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.base.files import atomic_write

Array = np.ndarray[Any, np.dtype[Any]]
log = logging.getLogger(__name__)


def identify(parts: Any, *arrays: Array) -> str:
    """SHA-256 (hex) of everything that a checkpoint depends on, the Keras backend included.

    Args:
        parts: settings and the like, as JSON.
        arrays: the data.
    """
    settings = [keras.backend.backend(), parts]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class Checkpoint:
    """One `.npz` file of arrays and a JSON state.

    Args:
        path: the file; with None nothing is written or loaded.
        identity: a checkpoint of another identity is not loaded; see `identify`.
        every_s: seconds between two writes; 0 writes each time.
    """

    def __init__(self, path: Path | None, identity: str, *, every_s: float = 2.0) -> None:
        self.path = path
        self.identity = identity
        self.every_s = every_s
        self._written = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for the next write."""
        return self.path is not None and time.monotonic() - self._written >= self.every_s

    def save(self, state: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Writes the checkpoint.

        Args:
            state: JSON.
            arrays: by name; "state" is reserved.
        """
        if self.path is None:
            return
        text = json.dumps({"identity": self.identity, **state})
        with atomic_write(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, state=np.array(text), **arrays)
        self._written = time.monotonic()

    def load(self) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """The state and the arrays; None if there is no readable checkpoint of this identity."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            state: dict[str, Any] = json.loads(str(arrays.pop("state")))
        except Exception as error:
            # Whatever is wrong with the file, starting from the beginning is right.
            log.warning("%s cannot be read (%s): starting from the beginning", self.path, error)
            return None
        if state.pop("identity", None) != self.identity:
            log.warning(
                "%s was written with other settings, data or code: starting from the beginning",
                self.path,
            )
            return None
        return state, arrays
