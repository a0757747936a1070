"""Whether there is room for a stage: on the disk, and below REGROW_MAX_BYTES."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from regrow.base.errors import UserError
from regrow.base.files import find_paths, list_stats
from regrow.base.settings import Settings
from regrow.sources.locations import is_cached
from regrow.sources.source import Source

# For databases, logs and what libraries write beside results.
RESERVE_BYTES = 50 * 2**20
MIB = 2**20


def check_room(
    model: str, stage: str, settings: Settings, sources: Collection[Source] = ()
) -> None:
    """Makes sure, before a stage of a model begins, that its result will have room.

    What it needs is estimated: the sizes of the files that a download fetches and stores, or twice
    the size of the last result of the stage, as there may be checkpoints beside it.

    Args:
        sources: what a download reads.

    Raises:
        UserError: there is not enough.
    """
    needed, reason = _estimate(model, stage, settings, sources)
    free = _free_bytes(settings)
    if free < needed + RESERVE_BYTES:
        raise UserError(
            f"there is not enough space on the disk for stage {stage} of {model}",
            where=str(settings.home),
            received=f"{free / MIB:,.0f} MiB free",
            expected=f"{(needed + RESERVE_BYTES) / MIB:,.0f} MiB: {reason}, and "
            f"{RESERVE_BYTES / MIB:.0f} MiB in reserve",
            remedies=[
                "regrow gc removes unused files",
                "free up space, or set REGROW_HOME to a folder on another disk",
            ],
        )
    check_limit(settings, needed, f"for stage {stage} of {model}")


def check_limit(settings: Settings, needed: int = 0, purpose: str = "") -> None:
    """Makes sure that the home stays below REGROW_MAX_BYTES.

    Args:
        needed: how much is to be added, in bytes.
        purpose: what for.

    Raises:
        UserError: it would be larger.
    """
    limit = settings.max_bytes
    if limit is None:
        return
    used = measure_folder(settings.home.path)
    if used + needed > limit:
        more = f" and {needed / MIB:,.0f} MiB are needed {purpose}" if purpose else ""
        raise UserError(
            "the home exceeds its size limit"
            if used > limit
            else "the home is close to its size limit",
            where=str(settings.home),
            received=f"{used / MIB:,.0f} MiB are used{more}",
            expected=f"at most {limit / MIB:,.0f} MiB, set in REGROW_MAX_BYTES",
            remedies=[
                "regrow gc removes unused files; regrow gc --keep 1 removes more",
                "raise REGROW_MAX_BYTES",
            ],
        )


def measure_folder(path: Path) -> int:
    """The size of all files in a folder, in bytes."""
    return sum(found.st_size for found in list_stats(path))


def _free_bytes(settings: Settings) -> int:
    home = settings.home.path
    place = next(path for path in (home, *home.parents) if path.exists())
    return shutil.disk_usage(place).free


def _estimate(
    model: str, stage: str, settings: Settings, sources: Collection[Source]
) -> tuple[int, str]:
    """The bytes that a stage may need, and why."""
    if stage == "download":
        needed = sum(_source_bytes(source, settings) for source in sources)
        return needed, f"{needed / MIB:,.0f} for the download and its copy in the store"
    results = find_paths(settings.home.store / model / stage, "[!.]*")
    last = measure_folder(max(results, key=lambda path: path.stat().st_mtime)) if results else 0
    return 2 * last, f"{2 * last / MIB:,.0f} for twice the last result of this stage"


def _source_bytes(source: Source, settings: Settings) -> int:
    fetched = 0 if is_cached(source, settings.home.downloads) else source.remote.bytes or 0
    return fetched + sum(info.bytes or 0 for info in source.pinned.values())
