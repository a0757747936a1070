"""Downloads one file over HTTP: streamed, hashed on the way, resumed, and checked by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from regrow.base.digests import digest_file
from regrow.base.errors import DataError
from regrow.base.spec import check_file
from regrow.sources.http import (
    NO_HEADERS,
    NOTHING_RECEIVED,
    Session,
    check_status,
    content_length,
    explain_page,
    open_response,
    open_session,
)
from regrow.sources.retries import (
    DEFAULT_RETRIES,
    LocationError,
    Retries,
    TransientFailure,
    retry,
)

if TYPE_CHECKING:
    import httpx

# A file may be larger than declared by this much, so that it is read and reported with its digest.
SLACK_BYTES = 16 * 2**20
# The limit where a source declares no size.
MAX_DOWNLOAD_BYTES = 8 * 2**30
HEAD_BYTES = 512


@dataclass(frozen=True)
class Expected:
    """The SHA-256 (hex) that a file must have, and its size if that is known.

    Attributes:
        md5: decides where `sha256` is empty.
        check: the dotted path of a function that checks the file's structure, where both are.
    """

    sha256: str
    bytes: int | None = None
    md5: str = ""
    check: str = ""

    @property
    def limit_bytes(self) -> int:
        """The number of bytes after which reading stops."""
        return MAX_DOWNLOAD_BYTES if self.bytes is None else self.bytes + SLACK_BYTES

    def __str__(self) -> str:
        size = "" if self.bytes is None else f" ({self.bytes} bytes)"
        if not self.sha256 and not self.md5:
            return f"a file with the structure that {self.check} checks{size}"
        return f"sha256 {self.sha256}{size}" if self.sha256 else f"md5 {self.md5}{size}"

    def find_problem(self, path: Path, sha256: str) -> str | None:
        """In what a whole file differs from the expected one; None if it is that.

        Args:
            path: the file.
            sha256: its digest.
        """
        received, size = f"sha256 {sha256}", path.stat().st_size
        if self.sha256:
            right = sha256 == self.sha256
        elif self.md5:
            found = digest_file(path, "md5")
            received, right = f"md5 {found}", (found, size) == (self.md5, self.bytes)
        else:
            received, right = _explain_structure(path, self.check)
        return None if right else f"received {received} ({size} bytes), expected {self}"


def _explain_structure(path: Path, check: str) -> tuple[str, bool]:
    try:
        check_file(check, path)
    except DataError as error:
        return f"{error.what}: {error.received}", False
    return "", True


@dataclass(frozen=True)
class Received:
    """A response body that was received whole."""

    sha256: str
    bytes: int
    resumed: bool


def download(
    url: str,
    part: Path,
    expected: Expected,
    *,
    report: Callable[[int, int], None],
    retries: Retries = DEFAULT_RETRIES,
    headers: Mapping[str, str] = NO_HEADERS,
) -> None:
    """Leaves the expected file at `part`.

    What `part` already holds is not requested again if the server can resume. An interrupted
    download leaves it for the next time; other unexpected content is removed.

    Args:
        url: http or https; a redirect from https to http is not followed.
        part: the temporary file.
        expected: digest and size.
        report: called as `report(done_bytes, total_bytes)`, total 0 when it is not known.
        headers: of the source; see `open_session`.

    Raises:
        LocationError: the URL did not provide the file.
    """
    first_digest: str | None = None
    with open_session(retries, headers) as session:
        while True:
            try:
                got = retry(partial(_attempt, session, url, part, expected, report), retries)
            except TransientFailure as failure:
                raise _explain_cut(failure, part, expected) from failure
            except LocationError:
                discard_part(part)
                raise
            problem = expected.find_problem(part, got.sha256)
            if problem is None:
                return
            discard_part(part)
            if got.resumed:
                continue  # the two parts may be of different files: the whole file is requested
            if first_digest is not None:
                raise _explain_wrong(problem, same=got.sha256 == first_digest)
            first_digest = got.sha256


def discard_part(part: Path) -> None:
    """Removes a partial file and its validator."""
    part.unlink(missing_ok=True)
    _validator_path(part).unlink(missing_ok=True)


def _attempt(
    session: Session,
    url: str,
    part: Path,
    expected: Expected,
    report: Callable[[int, int], None],
) -> Received:
    start = part.stat().st_size if part.exists() else 0
    if start and expected.bytes is not None and start >= expected.bytes:
        return Received(digest_file(part), start, resumed=True)
    with open_response(session, url, _range_headers(part, start)) as response:
        if response.status_code != 416 or not start:
            check_status(response, start)
            _check_length(response, start, expected)
            return receive(response, part, expected, report)
    # 416: the server's file is not longer than the part here, and that is not the expected file.
    discard_part(part)
    return _attempt(session, url, part, expected, report)


def _range_headers(part: Path, start: int) -> dict[str, str]:
    if not start:
        return {}
    validator = _validator_path(part)
    known = validator.read_text(encoding="ascii") if validator.exists() else ""
    return {"Range": f"bytes={start}-", **({"If-Range": known} if known else {})}


def _validator_path(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def _check_length(response: httpx.Response, start: int, expected: Expected) -> None:
    promised = content_length(response)
    before = start if response.status_code == 206 else 0
    if promised is not None and before + promised > expected.limit_bytes:
        raise LocationError(
            f"changed upstream: announces {promised} bytes, not downloaded; expected {expected}",
            kind="changed",
        )


def receive(
    response: httpx.Response, part: Path, expected: Expected, report: Callable[[int, int], None]
) -> Received:
    """Writes a response's body to `part`; a partial response is appended to what is there.

    Raises:
        LocationError: a page or a message of the server, nothing, or more bytes than expected.
        TransientFailure: the connection broke.
    """
    import httpx

    resumed = response.status_code == 206
    if not resumed:
        discard_part(part)
        _keep_validator(response, part)
    part.touch()
    with part.open("rb") as stream:
        digest, done = hashlib.file_digest(stream, "sha256"), stream.tell()
    promised = content_length(response)
    total = expected.bytes or (0 if promised is None else done + promised)
    try:
        with part.open("ab") as target:
            for chunk in response.iter_raw() if resumed else _refuse_pages(response):
                target.write(chunk)
                target.flush()  # so that it survives a kill
                digest.update(chunk)
                done += len(chunk)
                if done > expected.limit_bytes:
                    reason = f"changed upstream: {done} bytes or more; expected {expected}"
                    raise LocationError(reason, kind="changed")
                report(done, total)
    except httpx.TransportError as error:
        reason = f"{done} of {total or '?'} bytes received; {str(error) or type(error).__name__}"
        raise TransientFailure(reason, cut=True) from error
    # Without a length and without chunks, the end of the connection is the only mark of the end.
    if promised is None and "Transfer-Encoding" not in response.headers and done < total:
        raise TransientFailure(f"{done} of {total} bytes received", cut=True)
    if done == 0:
        raise LocationError(NOTHING_RECEIVED)
    return Received(digest.hexdigest(), done, resumed)


def _refuse_pages(response: httpx.Response) -> Iterator[bytes]:
    """Passes a body on unless it starts as a page or a message of the server does."""
    head = b""
    for chunk in response.iter_raw():
        if len(head) < HEAD_BYTES:
            head += chunk[:HEAD_BYTES]
            if reason := explain_page(head, response.url.path):
                raise LocationError(reason)
        yield chunk


def _keep_validator(response: httpx.Response, part: Path) -> None:
    etag = response.headers.get("ETag", "")
    # A weak tag must not be used to resume (RFC 9110, 13.1.5).
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    if validator and validator.isascii():
        _validator_path(part).write_text(validator, encoding="ascii")


def _explain_cut(failure: TransientFailure, part: Path, expected: Expected) -> TransientFailure:
    if not failure.cut or not part.exists():
        return failure
    digests = f"received sha256 {digest_file(part)}, expected {expected}"
    return TransientFailure(f"corrupt: incomplete,  {failure.reason}; {digests}", kind="corrupt")


def _explain_wrong(problem: str, *, same: bool) -> LocationError:
    if same:
        return LocationError(
            f"changed upstream: two downloads gave the same new file; {problem}",
            kind="changed",
        )
    return LocationError(
        f"corrupt: different contents were received each time; {problem}", kind="corrupt"
    )
