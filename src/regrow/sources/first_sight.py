"""Pins sources of which nobody has published a SHA-256 to the file that is downloaded first.

The first download is checked by what there is (MD5 and length, or the structure of the file). Its
SHA-256 is recorded as a version of the source, and every later download is checked by that.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from regrow.base.errors import DataError
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.progress import Progress
from regrow.base.settings import Settings
from regrow.sources.announcements import SourceCheck
from regrow.sources.locations import expect
from regrow.sources.obtain import Obtained, obtain
from regrow.sources.retries import Retries
from regrow.sources.source import UNPINNED, Source
from regrow.sources.versions import Version, at_version, current_source, record_version
from regrow.store.entry import FileInfo

log = logging.getLogger(__name__)


def obtain_source(
    source: Source, settings: Settings, progress: Progress, retries: Retries
) -> Obtained:
    """As `obtain`, for a source as it is declared: where it has no SHA-256, the pinned file.

    Raises:
        SourceError: no location provided it.
    """
    if source.remote.is_checked_first:
        pin_first(source, settings, progress, retries)
        source = current_source(settings.home, source)
    return obtain(source, settings.home.downloads, settings.mirror, progress, retries)


def pin_first(
    source: Source, settings: Settings, progress: Progress, retries: Retries
) -> SourceCheck:
    """Downloads a source that is not pinned here, and pins it.

    Raises:
        SourceError: no location provided a file that passes its check.
    """
    # `regrow gc` takes this lock before it removes a download.
    with exclusive(settings.home.source_lock(source.name)):
        known = current_source(settings.home, source).version
        if known != UNPINNED:
            return SourceCheck(
                source=source.name, outcome="unchanged", version=known, previous=known, found=known
            )
        got = obtain(source, settings.home.downloads, settings.mirror, progress, retries)
        version = _record(source, settings.home, got.path, got.expected.sha256, got.origin)
    return SourceCheck(
        source=source.name,
        outcome="changed",
        version=version.version,
        previous=UNPINNED,
        found=version.version,
        origin=version.origin,
        downloaded_bytes=version.file.bytes,
    )


def pin_file(source: Source, path: Path, sha256: str, settings: Settings, origin: str) -> None:
    """Pins a source, unless it is pinned, to a file that came in another way.

    Raises:
        DataError: it does not pass the source's check.
    """
    with exclusive(settings.home.source_lock(source.name)):
        if current_source(settings.home, source).version != UNPINNED:
            return
        if problem := expect(source.remote).find_problem(path, sha256):
            raise DataError(f"this is not {source.name}", where=origin, received=problem)
        _record(source, settings.home, path, sha256, origin)


def _record(source: Source, home: Home, path: Path, sha256: str, origin: str) -> Version:
    version = Version(
        source=source.name,
        version=sha256,
        declared=source.version,
        file=FileInfo(sha256=sha256, bytes=path.stat().st_size),
        origin=origin,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    record_version(home, version)
    if evidence := at_version(source, version).remote.evidence:
        log.warning("%s: checked by %s (%s)", source.name, evidence, sha256)
    return version
