"""What a source's locations have now: the first that answers counts.

The locations are those of a run, in the same order, without the cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from regrow.base.errors import DataError, SourceError
from regrow.base.file_kinds import name_kind
from regrow.base.progress import Progress
from regrow.base.settings import Settings
from regrow.sources.announcements import Notes
from regrow.sources.archives import extract_members
from regrow.sources.download import discard_part
from regrow.sources.locations import Location, list_locations
from regrow.sources.retries import LocationError, Retries
from regrow.sources.source import Source
from regrow.sources.upstream import UpstreamFile, read_upstream
from regrow.sources.versions import members_of
from regrow.store.entry import FileInfo

# What is read of a source, and unpacked, while its lock is held.
CHECKED = ".tmp-check-"


@dataclass(frozen=True)
class Look:
    """What was found at the first location that answered.

    Attributes:
        failures: the locations before it that did not respond, with their reasons.
        members: the files that are taken out of an archive that is not the one in use.
    """

    location: Location
    file: UpstreamFile
    failures: Sequence[str]
    members: Mapping[str, FileInfo]

    @property
    def remark(self) -> str:
        """That locations did not answer; empty if all before this one had no such file."""
        return f"{', '.join(self.failures)} did not respond" if self.failures else ""


def look_at(
    source: Source,
    current: Source,
    notes: Notes,
    settings: Settings,
    progress: Progress,
    retries: Retries,
) -> Look:
    """Reads a source at the first location that answers; the caller holds the source's lock.

    Args:
        source: as it is declared.
        current: as it is in use.
        notes: what was noted of its files when they were read before.

    Raises:
        SourceError: no location answered with the source.
    """
    downloads = settings.home.downloads
    downloads.mkdir(parents=True, exist_ok=True)
    # What a process left that was killed while it unpacked.
    shutil.rmtree(downloads / f"{CHECKED}{source.name}.files", ignore_errors=True)
    part = downloads / f"{CHECKED}{source.name}.part"
    report = partial(progress, f"checking {source.name}")
    errors: list[tuple[str, LocationError]] = []
    for location in list_locations(source, settings.mirror):
        if location.package or "#" in location.address:
            continue
        known = notes.hints.get(location.shown)
        if known is not None and not is_current(known.sha256, source, current, location):
            known = None  # it describes another file than the one in use
        try:
            found = read_upstream(location, known, part, report, retries)
            members = _read_members(source, current, location, found)
        except LocationError as error:
            errors.append((location.shown, error))
            continue
        # A location that says that it has no such file has answered.
        failed = [f"{place} ({e.reason})" for place, e in errors if e.kind != "absent"]
        return Look(location, found, failed, members)
    raise SourceError(
        f"no location could be checked for {source.name}",
        received="\n".join(f"{address}: {error.reason}" for address, error in errors)
        or "it has no address, and no mirror is set",
        remedies=["try again later; the recorded version stays in use"],
        transient=any(error.transient for _, error in errors),
    )


def _read_members(
    source: Source, current: Source, location: Location, file: UpstreamFile
) -> dict[str, FileInfo]:
    """The files in an archive that is not the one in use.

    Raises:
        LocationError: it does not have them, so it is no version of the source.
    """
    part = file.part
    if part is None or source.archive is None:
        return {}
    if is_current(file.hint.sha256, source, current, location):
        return {}
    unpacked = part.with_suffix(".files")
    try:
        files = extract_members(part, members_of(source), unpacked)
    except DataError as error:
        kind = name_kind(part)
        discard_part(part)
        received = error.received or kind
        raise LocationError(
            f"the received file is not the source: {error.what}"
            + (f" ({received})" if received else "")
        ) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return {path: FileInfo(sha256=f.sha256, bytes=f.bytes) for path, f in files.items()}


def is_current(sha256: str, source: Source, current: Source, location: Location) -> bool:
    """Whether a file is the one in use; a mirror may have its own archive of the declared files."""
    if sha256 == current.remote.sha256:
        return True
    return source.version == current.version and sha256 == location.expected.sha256
