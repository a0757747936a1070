"""One finished stage result: its files, its manifest, and whether they are complete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from regrow.base.digests import digest_file, digest_json
from regrow.store.fingerprint import Components

MANIFEST = "manifest.json"


class FileInfo(BaseModel):
    """Digest and size (bytes) of one file."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int


class Manifest(BaseModel):
    """What an entry holds and what it was made from.

    Attributes:
        digest: of the files' contents.
        manifest_digest: of everything here but the times: of facts, too.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    stage: str
    fingerprint: str
    digest: str
    created_at: str
    seconds: float
    files: dict[str, FileInfo]
    facts: dict[str, Any]
    components: Components
    manifest_digest: str = ""

    def compute_digest(self) -> str:
        """What `manifest_digest` must be."""
        text = self.model_dump_json(exclude={"manifest_digest", "created_at", "seconds"})
        return digest_json(json.loads(text))


@dataclass(frozen=True)
class Entry:
    """A finished stage output whose files were found whole."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """Digest of the files' contents: equal outputs have equal digests."""
        return self.manifest.digest

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the stage said of its result."""
        return self.manifest.facts

    def file(self, name: str) -> Path:
        """The path of one of the entry's files."""
        if name not in self.manifest.files:
            raise KeyError(f"{self.path} contains no file {name!r}: {sorted(self.manifest.files)}")
        return self.path / name


def find_changes(manifest: Manifest, model: str, stage: str, fingerprint: str) -> list[str]:
    """What is wrong with the manifest of the entry at this place."""
    changes = []
    place = f"{model}/{stage}/{fingerprint}"
    found = f"{manifest.model}/{manifest.stage}/{manifest.fingerprint}"
    if found != place:
        changes.append(f"its manifest is of {found}")
    if not manifest.manifest_digest:
        changes.append("it contains no digest of its facts")
    elif manifest.manifest_digest != manifest.compute_digest():
        changes.append("its facts or its list of files were changed")
    return changes


def find_damage(entry: Entry) -> list[str]:
    """What is wrong with an entry's files, by their digests."""
    damaged = []
    for name, info in entry.manifest.files.items():
        path = entry.path / name
        if not path.is_file():
            damaged.append(f"{name} is missing")
        elif path.stat().st_size != info.bytes or digest_file(path) != info.sha256:
            damaged.append(f"{name} has different contents")
    return damaged
