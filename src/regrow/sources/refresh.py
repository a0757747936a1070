"""Looks for new versions of the sources upstream, and records them.

The locations are those of a run, in the same order, without the cache. The first that answers
counts. While an earlier one fails, what a later one has is compared and not recorded: it may be an
older state, and whoever can make the first fail could choose the data.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from regrow.base.errors import DataError, RegrowError, SourceError, UserError, is_transient
from regrow.base.file_kinds import name_kind
from regrow.base.files import move_into_place
from regrow.base.home import Home
from regrow.base.layout import ensure_layout
from regrow.base.locks import exclusive
from regrow.base.progress import Progress
from regrow.base.settings import Settings
from regrow.sources.announcements import Notes, SourceCheck, read_notes, write_notes
from regrow.sources.archives import extract_members
from regrow.sources.catalog import UNPINNED, Source, declared_sources, digest_files
from regrow.sources.download import Expected, discard_part
from regrow.sources.first_sight import pin_first
from regrow.sources.locations import Location, cache_path, list_locations
from regrow.sources.retries import LocationError, Retries, make_retries
from regrow.sources.upstream import UpstreamFile, read_upstream
from regrow.sources.versions import (
    Version,
    current_source,
    members_of,
    read_versions,
    record_version,
)
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


def list_refreshed(settings: Settings) -> list[str]:
    """The names of the sources that may change upstream, and of those whose table is wrong."""
    declared = declared_sources(settings)
    return [*declared.refreshed, *declared.errors]


def must_look(source: Source, home: Home) -> bool:
    """Whether a run looks at a source first: it is a local file, or has no version yet."""
    if source.remote.path is not None:
        return True
    if not source.remote.has_places:
        return False
    return current_source(home, source).version == UNPINNED


def check_source(
    name: str,
    settings: Settings,
    progress: Progress,
    retries: Retries | None = None,
    *,
    allow_older: bool = False,
) -> SourceCheck:
    """Checks one source and records a version that is new.

    Args:
        retries: how often a URL is requested, and its limits; by default those of the settings.
        allow_older: whether a version that was in use before may be recorded again.

    Raises:
        UserError: no such source, or not one that may change.
        SourceError: no location answered with the source.
    """
    source = _declared(name, settings)
    ensure_layout(settings.home)
    if source.remote.is_checked_first:
        return pin_first(source, settings, progress, retries or make_retries(settings))
    progress(f"checking {name}", 0, 0)  # a location that does not answer takes a while
    downloads = settings.home.downloads
    # `regrow gc` takes this lock before it removes a download, so that it finds a new file and
    # its record, or neither.
    with exclusive(settings.home.source_lock(name)):
        # What a process left that was killed while it unpacked.
        shutil.rmtree(downloads / f"{CHECKED}{name}.files", ignore_errors=True)
        current = current_source(settings.home, source)
        notes = read_notes(settings.home, name)
        look = _read_first(
            source, current, notes, settings, progress, retries or make_retries(settings)
        )
        part = look.file.part
        try:
            check, version = _compare(source, current, look)
            if version is not None:
                check, version = _decide(check, version, look, source, settings, allow_older)
            if version is not None and part is not None:
                target = cache_path(downloads, Expected(look.file.hint.sha256))
                target.parent.mkdir(parents=True, exist_ok=True)
                move_into_place(part, target)
                record_version(settings.home, version)
        finally:
            if part is not None:
                discard_part(part)
        hints = {**notes.hints, look.location.shown: look.file.hint}
        write_notes(settings.home, name, notes.model_copy(update={"hints": hints}))
    return check


def describe_failure(name: str, error: BaseException) -> SourceCheck:
    """The result for a source that could not be checked."""
    return SourceCheck(
        source=name,
        outcome="failed",
        version="",
        previous="",
        reason=str(error),
        transient=is_transient(error),
    )


def check_sources(
    names: Sequence[str], settings: Settings, progress: Progress, *, allow_older: bool = False
) -> Iterator[SourceCheck]:
    """Checks sources, each whatever became of those before it."""
    for name in names:
        try:
            yield check_source(name, settings, progress, allow_older=allow_older)
        except RegrowError as error:
            yield describe_failure(name, error)


def explain_checks(checks: Sequence[SourceCheck]) -> SourceError | None:
    """The error for sources that failed or were not adopted; None if there is none."""
    bad = [check for check in checks if check.outcome in ("failed", "not adopted")]
    if not bad:
        return None
    return SourceError(
        f"checked {len(checks)} sources, {len(bad)} need attention; versions in use do not change",
        received="\n".join(f"{check.source}: {check.outcome}: {check.reason}" for check in bad),
        transient=any(check.transient for check in bad),
    )


def _declared(name: str, settings: Settings) -> Source:
    declared = declared_sources(settings)
    if name in declared:
        source = declared[name]
        if source.refresh or source.remote.is_checked_first:
            return source
    refreshed = ", ".join(list_refreshed(settings))
    raise UserError(
        f"{name!r} is not a source that regrow refresh checks",
        where="--source",
        received=name,
        expected=refreshed or "no source is declared with refresh = true",
        remedies=["set refresh = true for it in data/sources.toml"],
    )


def _read_first(
    source: Source,
    current: Source,
    notes: Notes,
    settings: Settings,
    progress: Progress,
    retries: Retries,
) -> Look:
    downloads = settings.home.downloads
    downloads.mkdir(parents=True, exist_ok=True)
    part = downloads / f"{CHECKED}{source.name}.part"
    report = partial(progress, f"checking {source.name}")
    errors: list[tuple[str, LocationError]] = []
    for location in list_locations(source, settings.mirror):
        if location.package or "#" in location.address:
            continue
        known = notes.hints.get(location.shown)
        if known is not None and not _is_current(known.sha256, source, current, location):
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
    if _is_current(file.hint.sha256, source, current, location):
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


def _is_current(sha256: str, source: Source, current: Source, location: Location) -> bool:
    """Whether a file is the one in use; a mirror may have its own archive of the declared files."""
    if sha256 == current.remote.sha256:
        return True
    return source.version == current.version and sha256 == location.expected.sha256


def _compare(source: Source, current: Source, look: Look) -> tuple[SourceCheck, Version | None]:
    """The result by digest, and the version to record if the file is a new one."""
    before, file, location = current.version, look.file, look.location
    check = SourceCheck(
        source=source.name,
        outcome="unchanged",
        version=before,
        previous=before,
        found=before,
        origin=location.shown,
        reason=_name_failures(look),
    )
    if file.part is None:
        return check, None
    size = file.part.stat().st_size
    check = check.model_copy(update={"downloaded_bytes": size})
    if _is_current(file.hint.sha256, source, current, location):
        return check, None
    digest = file.hint.sha256
    if source.archive is not None:
        digest = digest_files({path: info.sha256 for path, info in look.members.items()})
    version = Version(
        source=source.name,
        version=digest,
        declared=source.version,
        file=FileInfo(sha256=file.hint.sha256, bytes=size),
        members=dict(look.members),
        origin=location.shown,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    outcome = "repacked" if digest == before else "changed"
    found: dict[str, Any] = {"outcome": outcome, "version": digest, "found": digest}
    return check.model_copy(update=found), version


def _name_failures(look: Look) -> str:
    return f"{', '.join(look.failures)} did not respond" if look.failures else ""


def _decide(
    check: SourceCheck,
    version: Version,
    look: Look,
    source: Source,
    settings: Settings,
    allow_older: bool,
) -> tuple[SourceCheck, Version | None]:
    """What becomes of another file: it is recorded, or the result says why not."""
    repacked = check.outcome == "repacked"
    if look.failures:
        reason = f"{_name_failures(look)}; {look.location.shown} has a different file"
    elif repacked or allow_older or version.version not in _list_known(source, settings.home):
        return check, version
    else:
        reason = (
            f"{look.location.shown} has version {version.version[:12]}, which was in "
            f"use before; regrow refresh --source {source.name} --allow-older adopts it again"
        )
    # The same data in another archive need no attention.
    outcome = "unchanged" if repacked else "not adopted"
    kept = {"outcome": outcome, "version": check.previous, "reason": reason}
    return check.model_copy(update=kept), None


def _list_known(source: Source, home: Home) -> set[str]:
    return {source.version, *(found.version for found in read_versions(home, source.name))}
