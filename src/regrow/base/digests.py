"""SHA-256 digests of JSON values and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest_json(value: Any) -> str:
    """SHA-256 (hex) of a JSON value, the same for equal values whatever their order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """SHA-256 or another digest (hex) of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
