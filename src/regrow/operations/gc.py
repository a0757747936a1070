"""Removes what nothing in use needs, while pipelines may run.

The registry itself is not changed, so every version can still be rolled back to.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from regrow.base.errors import LockTimeout, UserError
from regrow.base.files import find_paths, remove_abandoned
from regrow.base.home import Home
from regrow.base.layout import ensure_layout
from regrow.base.locks import exclusive
from regrow.base.settings import Settings
from regrow.operations.bundle_contents import import_lock, remove_killed_imports
from regrow.operations.garbage import Garbage, is_needed_download, list_present_models, survey
from regrow.pipeline.records import is_busy
from regrow.sources.catalog import declared_sources
from regrow.store.store import REMOVED, Store

DEFAULT_KEEP = 3


def collect_garbage(settings: Settings, *, keep: int, dry_run: bool) -> dict[str, Any]:
    """Finds what nothing in use needs and, unless it is a dry run, removes it.

    Args:
        keep: how many of the newest versions of each registered model and source are in use.
        dry_run: whether nothing is removed.

    Returns:
        JSON: "removed" (or what would be; kind, path below the home, bytes, why), "removed_bytes",
        "kept", "kept_bytes", "busy" (models with a run under way, of which nothing is removed).

    Raises:
        UserError: another clean-up is running, or the registry does not answer.
    """
    if not dry_run:
        ensure_layout(settings.home)
    try:
        with exclusive(settings.home.lock("gc"), timeout_s=0):
            found = survey(settings, keep=keep)
            removed = found.garbage
            if not dry_run:
                _remove_leftovers(settings.home)
                removed = [item for item in found.garbage if _remove(settings, item, keep)]
    except LockTimeout as error:
        raise UserError(
            "another clean-up is running",
            where=str(settings.home),
            remedies=["run regrow gc again when it has finished"],
        ) from error
    return {
        "dry_run": dry_run,
        "removed": [_describe(item, settings.home) for item in removed],
        "removed_bytes": sum(item.bytes for item in removed),
        "kept": found.kept,
        "kept_bytes": found.kept_bytes,
        "busy": found.busy,
    }


def _describe(item: Garbage, home: Home) -> dict[str, Any]:
    path = item.path.relative_to(home.path).as_posix()
    return {"kind": item.kind, "path": path, "bytes": item.bytes, "why": item.why}


def _remove(settings: Settings, item: Garbage, keep: int) -> bool:
    """Removes one item whole, unless a run has begun since the survey; whether it was removed."""
    home = settings.home

    def is_needed() -> bool:
        # A run writes its record before it looks for its first result, and looks under the lock
        # that is held here: either it is found here, or it finds no result and makes it again.
        models = [item.model] if item.model else list_present_models(home)
        return any(is_busy(home, model) for model in models)

    try:
        if item.kind in ("result", "scratch"):
            return Store(home).discard(item.path, is_needed)
        with ExitStack() as locks:
            if item.kind == "download":
                _lock_sources(locks, settings)
                if is_needed_download(item.path, settings, keep):
                    return False
            if is_needed():
                return False
            _delete(item.path)
    except (FileNotFoundError, LockTimeout):
        return False
    except OSError as error:
        raise UserError(
            "an unused file or folder could not be removed",
            where=str(item.path),
            received=error.strerror or str(error),
            remedies=["allow writing there and run regrow gc again"],
        ) from error
    return True


def _lock_sources(locks: ExitStack, settings: Settings) -> None:
    """Excludes every refresh: between a new file and its record, nothing says that it is needed.

    Raises:
        LockTimeout: one is under way; what it looks at is not known.
    """
    declared = declared_sources(settings)
    pinned_first = [n for n, source in declared.items() if source.remote.is_checked_first]
    for name in (*declared.refreshed, *pinned_first):
        locks.enter_context(exclusive(settings.home.source_lock(name), timeout_s=0))


def _delete(path: Path) -> None:
    if path.is_dir():
        removed = path.with_name(f"{REMOVED}{path.name}")
        path.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
    else:  # its folder stays: another process may be about to write there
        path.unlink()


def _remove_leftovers(home: Home) -> None:
    """Removes what killed clean-ups had renamed, and what killed runs had not finished."""
    for found in (
        find_paths(home.store, f"*/*/{REMOVED}*"),
        find_paths(home.scratch, f"*/*/{REMOVED}*"),
        find_paths(home.failures, f"{REMOVED}*"),
    ):
        for path in found:
            shutil.rmtree(path, ignore_errors=True)
    for folder in home.path.glob("[!.]*/"):
        if folder != home.inbox:  # what is there belongs to the user
            remove_abandoned(folder)
    with suppress(LockTimeout), exclusive(import_lock(home), timeout_s=0):
        remove_killed_imports(home)
    for model in list_present_models(home):
        Store(home).sweep(model)
