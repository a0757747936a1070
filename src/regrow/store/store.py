"""The store: results of finished stages, by fingerprint.

An entry is a directory `store/<model>/<stage>/<fingerprint>/` with files and a manifest. It is
built in a temporary directory beside it, the manifest is written last, and a rename makes it
visible: a kill leaves the old state or the new one. Files and the manifest are compared with their
digests at every use. With a shared store (`shared.py`), missing entries are fetched from it, and
new ones are copied to it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from regrow.base.digests import digest_file, digest_json
from regrow.base.errors import LockTimeout
from regrow.base.files import find_paths, make_folder, remove_empty_parents, write_text
from regrow.base.home import Home
from regrow.base.layout import ensure_layout
from regrow.base.locks import exclusive
from regrow.base.settings import Settings
from regrow.store.entry import MANIFEST, Entry, FileInfo, Manifest, find_changes, find_damage
from regrow.store.fingerprint import Components
from regrow.store.shared import SharedStore, open_shared

log = logging.getLogger(__name__)

TEMPORARY = ".building-"
REMOVED = ".removing-"


class Store:
    """The entries of one home.

    Args:
        home: the directory of all state.
        shared: the store that several machines use; None for none.
    """

    def __init__(self, home: Home, shared: SharedStore | None = None) -> None:
        self.home = home
        self.shared = shared

    def find(self, model: str, stage: str, fingerprint: str) -> Entry | None:
        """The entry with this fingerprint if it exists and is undamaged, else None.

        Raises:
            Unreachable: it is not on this machine, and the shared store does not answer.
        """
        entry = self._find_here(model, stage, fingerprint)
        if entry is not None or self.shared is None:
            return entry
        with exclusive(self._lock(model, stage, fingerprint)):
            return self._find_anywhere(model, stage, fingerprint)

    def find_valid(
        self, model: str, stage: str, fingerprint: str, holds: Callable[[Entry], bool]
    ) -> Entry | None:
        """The entry that `build` would return without building; None if it would build one.

        Raises:
            Unreachable: the shared store does not answer.
        """
        with exclusive(self._lock(model, stage, fingerprint)):
            entry = self._find_anywhere(model, stage, fingerprint)
            if entry is None or not holds(entry):
                return None
            if self.shared is not None:
                self.shared.push(entry)
            return entry

    def _find_anywhere(self, model: str, stage: str, fingerprint: str) -> Entry | None:
        """As `find`; the caller holds the entry's lock."""
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
        changes = find_changes(manifest, model, stage, fingerprint)
        if damaged := changes or find_damage(entry):
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
        holds: Callable[[Entry], bool] = lambda _entry: True,
    ) -> tuple[Entry, bool]:
        """Finds the entry or builds it; of two processes at once, only one builds it.

        Args:
            make: called as `make(out, scratch)`: writes files into `out`, returns facts.
            holds: asked of an entry that exists; one that no longer holds is built again.

        Returns:
            The entry, and whether it existed already.

        Raises:
            Unreachable: the shared store does not answer; the entry is kept on this machine.
        """
        ensure_layout(self.home)
        with exclusive(self._lock(model, stage, fingerprint)):
            entry = self._find_anywhere(model, stage, fingerprint)
            outdated = entry is not None and not holds(entry)
            found = entry is not None and not outdated
            if entry is None or outdated:
                entry = self._make(model, stage, fingerprint, components, make)
            if self.shared is not None:
                self.shared.push(entry, replace=outdated)
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
        scratch = self.home.scratch / model / stage / fingerprint
        make_folder(scratch)
        out = path.with_name(f"{TEMPORARY}{fingerprint}")
        shutil.rmtree(out, ignore_errors=True)
        make_folder(out)
        started = datetime.now(UTC)
        try:
            facts = make(out, scratch)
            manifest = _describe(out, model, stage, fingerprint, components, facts, started)
            write_text(out / MANIFEST, manifest.model_dump_json(indent=1))
            out.rename(path)
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise
        shutil.rmtree(scratch, ignore_errors=True)
        remove_empty_parents(scratch, self.home.path)
        return Entry(path, manifest)

    def sweep(self, model: str) -> None:
        """Removes partial entries and lock files that killed runs of this model left."""
        import filelock

        for leftover in find_paths(self.home.store, f"{model}/*/{TEMPORARY}*"):
            stage, fingerprint = leftover.parent.name, leftover.name.removeprefix(TEMPORARY)
            lock = self._lock(model, stage, fingerprint)
            try:
                with filelock.FileLock(lock, timeout=0):
                    shutil.rmtree(leftover, ignore_errors=True)
                    lock.unlink(missing_ok=True)
            except filelock.Timeout:
                continue  # another run is building it
        shutil.rmtree(self.home.failures / f".{model}.writing", ignore_errors=True)
        for lock in self.home.locks.glob(f"{model}-*.lock"):
            try:
                with filelock.FileLock(lock, timeout=0):
                    lock.unlink(missing_ok=True)
            except filelock.Timeout:
                continue

    def folders(self) -> Iterator[tuple[Path, Manifest | None]]:
        """Every entry's folder and its manifest; None where that cannot be read.

        The files are not checked: this is for statistics and cleaning up.
        """
        for path in find_paths(self.home.store, "*/*/*"):
            if path.name.startswith(".") or not path.is_dir():
                continue
            try:
                yield path, Manifest.model_validate_json((path / MANIFEST).read_bytes())
            except (ValidationError, OSError):
                yield path, None

    def discard(self, folder: Path, unless: Callable[[], bool]) -> bool:
        """Removes an entry's or a scratch folder: it is renamed first and then deleted.

        Args:
            folder: `<store or scratch>/<model>/<stage>/<fingerprint>`.
            unless: called while no run can find or build this entry; True keeps it.

        Returns:
            Whether it was removed; not if a run is building it.
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
        remove_empty_parents(folder, self.home.path)
        return True

    def _path(self, model: str, stage: str, fingerprint: str) -> Path:
        return self.home.store / model / stage / fingerprint

    def _lock(self, model: str, stage: str, fingerprint: str) -> Path:
        return self.home.lock(f"{model}-{stage}-{fingerprint}")


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
    manifest = Manifest(
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
    return manifest.model_copy(update={"manifest_digest": manifest.compute_digest()})


def open_store(settings: Settings) -> Store:
    """The store of this machine, with the shared one if there is one.

    Raises:
        UserError: the shared one's address cannot be used.
    """
    return Store(settings.home, open_shared(settings))
