"""Looks for new versions of the sources upstream, and records them.

While a location fails, what a later one has is compared and not recorded: it may be an older
state, and whoever can make the first fail could choose the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from regrow.base.errors import RegrowError, SourceError, UserError, is_transient
from regrow.base.files import move_into_place
from regrow.base.home import Home
from regrow.base.layout import ensure_layout
from regrow.base.locks import exclusive
from regrow.base.progress import Progress
from regrow.base.settings import Settings
from regrow.sources.announcements import SourceCheck, read_notes, write_notes
from regrow.sources.catalog import declared_sources
from regrow.sources.download import Expected, discard_part
from regrow.sources.first_sight import pin_first
from regrow.sources.locations import cache_path
from regrow.sources.look import Look, is_current, look_at
from regrow.sources.retries import Retries, make_retries
from regrow.sources.source import UNPINNED, Source, digest_files
from regrow.sources.versions import Version, current_source, read_versions, record_version
from regrow.store.entry import FileInfo


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
    retries = retries or make_retries(settings)
    ensure_layout(settings.home)
    if source.remote.is_checked_first:
        return pin_first(source, settings, progress, retries)
    progress(f"checking {name}", 0, 0)  # a location that does not answer takes a while
    # `regrow gc` takes this lock before it removes a download, so that it finds a new file and
    # its record, or neither.
    with exclusive(settings.home.source_lock(name)):
        current = current_source(settings.home, source)
        notes = read_notes(settings.home, name)
        look = look_at(source, current, notes, settings, progress, retries)
        try:
            check, version = _compare(source, current, look)
            if version is not None:
                check, version = _decide(check, version, look, source, settings, allow_older)
            if version is not None:
                _adopt(version, look, settings.home)
        finally:
            if look.file.part is not None:
                discard_part(look.file.part)
        hints = {**notes.hints, look.location.shown: look.file.hint}
        write_notes(settings.home, name, notes.model_copy(update={"hints": hints}))
    return check


def _adopt(version: Version, look: Look, home: Home) -> None:
    """Makes what was read the cached file of a version, and records that."""
    assert look.file.part is not None
    target = cache_path(home.downloads, Expected(look.file.hint.sha256))
    target.parent.mkdir(parents=True, exist_ok=True)
    move_into_place(look.file.part, target)
    record_version(home, version)


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
        reason=look.remark,
    )
    if file.part is None:
        return check, None
    size = file.part.stat().st_size
    check = check.model_copy(update={"downloaded_bytes": size})
    if is_current(file.hint.sha256, source, current, location):
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
        reason = f"{look.remark}; {look.location.shown} has a different file"
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
