"""Checkpoints of pictures that are being made: whole or not there, and of this very work."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
log = logging.getLogger(__name__)


def identify(parts: Any, *arrays: Array) -> str:
    """A digest of all that a checkpoint must have been made with."""
    settings = [keras.backend.backend(), parts]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class Checkpoint:
    """One file with arrays and a JSON state; without a path nothing is written or found.

    Args:
        path: the file.
        identity: a checkpoint of another identity is left alone and not taken up.
        every_s: seconds between two writes; 0 writes each time.
    """

    def __init__(self, path: Path | None, identity: str, *, every_s: float = 2.0) -> None:
        self.path = path
        self.identity = identity
        self.every_s = every_s
        self._written = time.monotonic()

    def save(self, state: Mapping[str, Any], *, force: bool = False, **arrays: Array) -> None:
        """Writes the checkpoint if it is time for one, or if it must be."""
        if self.path is None or not (force or time.monotonic() - self._written >= self.every_s):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".writing")
        text = json.dumps({"identity": self.identity, **state})
        with temporary.open("wb") as stream:
            np.savez(stream, state=np.array(text), **arrays)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self.path)
        self._written = time.monotonic()

    def load(self) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """The state and the arrays; None if there is no whole checkpoint of this work."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            state: dict[str, Any] = json.loads(str(arrays.pop("state")))
        except Exception as error:
            # Whatever is wrong with the file, beginning anew is right.
            log.warning("%s cannot be read (%s): it begins anew", self.path, error)
            return None
        if state.pop("identity", None) != self.identity:
            log.warning("%s is of other pictures or settings: it begins anew", self.path)
            return None
        return state, arrays
