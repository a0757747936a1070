"""The store: finished stage outputs by fingerprint, whole or not there at all.

An entry is a directory `store/<model>/<stage>/<fingerprint>/` with its files and a manifest. It is
built in a temporary directory beside it, the manifest is written last, and a rename makes it
visible: a kill leaves the old state or the new one. Files are checked by digest at every use.
Where there is a shared store (`shared.py`), what is not here is looked for there, and what is made
here is left there.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from regrow.engine.errors import LockTimeout
from regrow.engine.fingerprint import Components, digest_file, digest_json
from regrow.engine.locks import exclusive

if TYPE_CHECKING:
    from regrow.engine.shared import SharedStore

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
TEMPORARY = ".building-"
REMOVED = ".removing-"


class FileInfo(BaseModel):
    """Digest and size (bytes) of one file."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int


class Manifest(BaseModel):
    """What an entry holds and what it was made from."""

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
            raise KeyError(f"{self.path} holds no file {name!r}: {sorted(self.manifest.files)}")
        return self.path / name


class Store:
    """The entries below one home directory.

    Args:
        home: the directory.
        shared: where entries of other machines are, and this one's are left.
    """

    def __init__(self, home: Path, shared: SharedStore | None = None) -> None:
        self.home = home
        self.shared = shared

    def find(self, model: str, stage: str, fingerprint: str) -> Entry | None:
        """The entry with this fingerprint if it is there and whole, else None.

        Raises:
            Unreachable: it is not here, and the shared store does not answer.
        """
        entry = self._find_here(model, stage, fingerprint)
        if entry is not None or self.shared is None:
            return entry
        with exclusive(self._lock(model, stage, fingerprint)):
            return self._find_anywhere(model, stage, fingerprint)

    def _find_anywhere(self, model: str, stage: str, fingerprint: str) -> Entry | None:
        """As `find`, for who holds the entry's lock."""
        entry = self._find_here(model, stage, fingerprint)
        if entry is not None or self.shared is None:
            return entry
        path = self._path(model, stage, fingerprint)
        fetched = path.with_name(f"{TEMPORARY}{fingerprint}")
        manifest = self.shared.fetch(model, stage, fingerprint, fetched)
        if manifest is None:
            return None
        shutil.rmtree(path, ignore_errors=True)
        fetched.rename(path)
        return Entry(path, manifest)

    def _find_here(self, model: str, stage: str, fingerprint: str) -> Entry | None:
        path = self._path(model, stage, fingerprint)
        try:
            manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError) as error:
            log.warning("%s is damaged (%s) and will be built again", path, type(error).__name__)
            return None
        entry = Entry(path, manifest)
        if damaged := find_damage(entry):
            log.warning("%s is damaged (%s) and will be built again", path, ", ".join(damaged))
            return None
        return entry

    def build(
        self,
        model: str,
        stage: str,
        fingerprint: str,
        components: Components,
        make: Callable[[Path, Path], dict[str, Any]],
    ) -> tuple[Entry, bool]:
        """Finds the entry or makes it; two processes at once make it once.

        Args:
            make: called as `make(out, scratch)`: writes files into `out`, returns facts.

        Returns:
            The entry, and whether it was there already.

        Raises:
            Unreachable: the shared store does not answer; what was made is kept here.
        """
        with exclusive(self._lock(model, stage, fingerprint)):
            entry = self._find_anywhere(model, stage, fingerprint)
            found = entry is not None
            if entry is None:
                entry = self._make(model, stage, fingerprint, components, make)
            if self.shared is not None:
                self.shared.push(entry)
            return entry, found

    def _make(
        self,
        model: str,
        stage: str,
        fingerprint: str,
        components: Components,
        make: Callable[[Path, Path], dict[str, Any]],
    ) -> Entry:
        path = self._path(model, stage, fingerprint)
        shutil.rmtree(path, ignore_errors=True)
        scratch = self.home / "scratch" / model / stage / fingerprint
        scratch.mkdir(parents=True, exist_ok=True)
        out = path.with_name(f"{TEMPORARY}{fingerprint}")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        started = datetime.now(UTC)
        try:
            facts = make(out, scratch)
            manifest = _describe(out, model, stage, fingerprint, components, facts, started)
            _write_durably(out / MANIFEST, manifest.model_dump_json(indent=1))
            out.rename(path)
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise
        shutil.rmtree(scratch, ignore_errors=True)
        remove_empty_parents(scratch, self.home)
        return Entry(path, manifest)

    def sweep(self, model: str) -> None:
        """Removes what killed runs of this model left: half-built entries and free locks."""
        import filelock

        for leftover in self.home.glob(f"store/{model}/*/{TEMPORARY}*"):
            stage, fingerprint = leftover.parent.name, leftover.name.removeprefix(TEMPORARY)
            lock = self._lock(model, stage, fingerprint)
            try:
                with filelock.FileLock(lock, timeout=0):
                    shutil.rmtree(leftover, ignore_errors=True)
                    lock.unlink(missing_ok=True)
            except filelock.Timeout:
                continue  # another run is building it just now
        shutil.rmtree(self.home / "failures" / f".{model}.writing", ignore_errors=True)
        for lock in self.home.glob(f"locks/{model}-*.lock"):
            try:
                with filelock.FileLock(lock, timeout=0):
                    lock.unlink(missing_ok=True)
            except filelock.Timeout:
                continue

    def folders(self) -> Iterator[tuple[Path, Manifest | None]]:
        """Every entry's folder and what it says of itself; None where that cannot be read.

        The files are not checked: this is for whoever counts or cleans up.
        """
        for path in sorted(self.home.glob("store/*/*/*")):
            if path.name.startswith(".") or not path.is_dir():
                continue
            try:
                yield path, Manifest.model_validate_json((path / MANIFEST).read_bytes())
            except (ValidationError, OSError):
                yield path, None

    def discard(self, folder: Path, unless: Callable[[], bool]) -> bool:
        """Removes an entry's or a scratch folder whole: it is renamed away, then deleted.

        Args:
            folder: `<store or scratch>/<model>/<stage>/<fingerprint>`.
            unless: asked while no run can find or build this entry; True leaves it alone.

        Returns:
            Whether it was removed; not if a run is building it just now.
        """
        model, stage, fingerprint = folder.parts[-3:]
        try:
            with exclusive(self._lock(model, stage, fingerprint), timeout_s=0):
                if unless() or not folder.exists():
                    return False
                removed = folder.with_name(f"{REMOVED}{fingerprint}")
                shutil.rmtree(removed, ignore_errors=True)
                folder.rename(removed)
        except LockTimeout:
            return False
        shutil.rmtree(removed, ignore_errors=True)
        remove_empty_parents(folder, self.home)
        return True

    def _path(self, model: str, stage: str, fingerprint: str) -> Path:
        return self.home / "store" / model / stage / fingerprint

    def _lock(self, model: str, stage: str, fingerprint: str) -> Path:
        return self.home / "locks" / f"{model}-{stage}-{fingerprint}.lock"


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    _write_durably(temporary, json.dumps(value, indent=1, ensure_ascii=False))
    temporary.replace(path)


def append_line(path: Path, text: str) -> None:
    """Adds a line to a log, on disk before this returns; the caller holds a lock.

    A line that a kill cut short is ended first, so that it spoils none but itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as stream:
        broken = False
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            broken = stream.read(1) != b"\n"
        stream.write((b"\n" if broken else b"") + text.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def remove_empty_parents(path: Path, stop: Path) -> None:
    """Removes the directories above `path` that are empty, up to `stop`."""
    for parent in path.parents:
        if parent == stop or not parent.is_dir() or any(parent.iterdir()):
            return
        parent.rmdir()


def _describe(
    out: Path,
    model: str,
    stage: str,
    fingerprint: str,
    components: Components,
    facts: dict[str, Any],
    started: datetime,
) -> Manifest:
    files = {
        path.relative_to(out).as_posix(): FileInfo(
            sha256=digest_file(path), bytes=path.stat().st_size
        )
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    return Manifest(
        model=model,
        stage=stage,
        fingerprint=fingerprint,
        digest=digest_json({name: info.sha256 for name, info in files.items()}),
        created_at=started.isoformat(timespec="seconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
        files=files,
        facts=facts,
        components=components,
    )


def find_damage(entry: Entry) -> list[str]:
    """What is wrong with an entry's files, by their digests."""
    damaged = []
    for name, info in entry.manifest.files.items():
        path = entry.path / name
        if not path.is_file():
            damaged.append(f"{name} is missing")
        elif path.stat().st_size != info.bytes or digest_file(path) != info.sha256:
            damaged.append(f"{name} has other content")
    return damaged


def _write_durably(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
