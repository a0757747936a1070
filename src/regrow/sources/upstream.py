"""Reads the current file of a location, unless the location states that it has not changed.

What a location states about its file (ETag, Last-Modified, a file's time) is a hint that saves a
download. Whether the data have changed is decided by digest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from regrow.sources.archives import copy_stream
from regrow.sources.download import Expected, discard_part, receive
from regrow.sources.http import Session, check_status, content_length, open_response, open_session
from regrow.sources.locations import Location, open_file
from regrow.sources.retries import LocationError, Retries, retry

# The time of an object tells nothing of a change that comes so soon after it: storage keeps whole
# seconds.
SETTLED_NS = 5_000_000_000


class Hint(BaseModel):
    """What a location states about its file, and the digest of that file."""

    sha256: str
    etag: str = ""
    last_modified: str = ""
    bytes: int | None = None

    def same_as(self, other: Hint) -> bool:
        """Whether both describe the same file, if the location is right."""
        if self.etag or other.etag:
            return self.etag == other.etag
        said = (self.last_modified, self.bytes)
        return bool(self.last_modified) and said == (other.last_modified, other.bytes)


@dataclass(frozen=True)
class UpstreamFile:
    """The file at a location.

    Attributes:
        hint: what the location states about it.
        part: the file that was read; None if it is the one that the known hint describes.
    """

    hint: Hint
    part: Path | None = None


def read_upstream(
    location: Location,
    known: Hint | None,
    part: Path,
    report: Callable[[int, int], None],
    retries: Retries,
) -> UpstreamFile:
    """Reads a location's file into `part`, unless `known` describes it.

    Args:
        location: a URL, or a file in a mirror's folder.
        known: what the location stated before.
        part: a temporary file; it is removed after a failure.
        report: called as `report(done_bytes, total_bytes)`.
        retries: how often a URL is requested.

    Raises:
        LocationError: the location did not provide its file.
    """
    try:
        if not location.is_http:
            return _read_file(location, known, part)
        with open_session(retries, location.headers) as session:
            return retry(partial(_request, session, location.address, known, part, report), retries)
    except LocationError:
        discard_part(part)
        raise


def _read_file(location: Location, known: Hint | None, part: Path) -> UpstreamFile:
    with open_file(location) as file:
        stat = file.stat
        hint = Hint(sha256="", last_modified=str(stat.st_mtime_ns), bytes=stat.st_size)
        if known is not None and known.same_as(hint):
            return UpstreamFile(known)
        copied = copy_stream(file, part)
        if copied.bytes == 0:
            raise LocationError("the file is empty")
    if location.folder is None and time.time_ns() - stat.st_mtime_ns < SETTLED_NS:
        hint = hint.model_copy(update={"last_modified": ""})
    return UpstreamFile(hint.model_copy(update={"sha256": copied.sha256}), part)


def _request(
    session: Session,
    url: str,
    known: Hint | None,
    part: Path,
    report: Callable[[int, int], None],
) -> UpstreamFile:
    discard_part(part)
    headers = {}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    with open_response(session, url, headers) as response:
        if response.status_code == 304 and known is not None:
            return UpstreamFile(known)
        check_status(response, 0)
        hint = Hint(
            sha256="",
            etag=response.headers.get("ETag", ""),
            last_modified=response.headers.get("Last-Modified", ""),
            bytes=content_length(response),
        )
        if known is not None and known.same_as(hint):
            return UpstreamFile(known)
        if hint.bytes is None and "Transfer-Encoding" not in response.headers:
            # A file that is cut short would be taken for a new version.
            raise LocationError("reports neither the length nor the end of the file")
        got = receive(response, part, Expected("of a new file"), report)
    return UpstreamFile(hint.model_copy(update={"sha256": got.sha256}), part)
