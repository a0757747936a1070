"""One file over HTTP: streamed, hashed on the way, resumed after a cut, checked by its digest."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from regrow.engine.fingerprint import digest_file

if TYPE_CHECKING:
    import httpx

# How much more than the declared size is read, so that a changed file can still be told by digest.
SLACK_BYTES = 16 * 2**20
# The bound where a source declares no size.
MAX_BYTES = 8 * 2**30
MAX_REDIRECTS = 5
# Answers that may be others in a moment: time-out, too early, too many requests; and all of 5xx.
PASSING_STATUS = frozenset({408, 425, 429})
HEAD_BYTES = 512


@dataclass(frozen=True)
class Expected:
    """What a file must be: SHA-256 (hex), and its size if that is known."""

    sha256: str
    bytes: int | None = None

    @property
    def limit_bytes(self) -> int:
        """How much of it is read at most."""
        return MAX_BYTES if self.bytes is None else self.bytes + SLACK_BYTES

    def __str__(self) -> str:
        size = "" if self.bytes is None else f" ({self.bytes} bytes)"
        return f"sha256 {self.sha256}{size}"


@dataclass(frozen=True)
class Retries:
    """How often one URL is asked, and how long to wait in between.

    Attributes:
        attempts: requests in all while the trouble is one that may pass.
        first_delay_s: the wait after the first failure; it doubles with each, less up to half of it
            by chance, so that many clients do not come back at once.
        max_delay_s: the longest wait, also where a server asks for more by Retry-After.
    """

    attempts: int = 4
    first_delay_s: float = 0.5
    max_delay_s: float = 20.0
    connect_timeout_s: float = 6.0
    read_timeout_s: float = 30.0

    def delay_s(self, failures: int, asked_s: float = 0.0) -> float:
        """The wait after the given number of failures; `asked_s` is what the server asks for."""
        backoff_s = self.first_delay_s * 2.0 ** (failures - 1) * random.uniform(0.5, 1.0)
        return min(max(backoff_s, asked_s), self.max_delay_s)


DEFAULT_RETRIES = Retries()

Kind = Literal["unreachable", "refused", "changed", "corrupt"]


class PlaceError(Exception):
    """One place did not give the file.

    Attributes:
        kind: "changed" for another file served whole, "corrupt" for a cut or varying one,
            "unreachable" and "refused" for none.
        transient: whether the reason may pass.
    """

    def __init__(self, reason: str, *, kind: Kind = "refused", transient: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.transient = transient


class Trouble(Exception):
    """This attempt failed for a reason that may pass.

    Attributes:
        reason: what happened.
        cut: whether a part of the file came.
        asked_s: how long the server asks to wait.
    """

    def __init__(self, reason: str, *, cut: bool = False, asked_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cut = cut
        self.asked_s = asked_s


@dataclass(frozen=True)
class Received:
    """A file that came whole."""

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
) -> None:
    """Leaves the expected file at `part`.

    What `part` already holds is not asked for again where the server can resume. A cut or refused
    download leaves it for the next time; anything else that is not the expected file is removed.

    Args:
        url: http or https; a redirect from https to http is not followed.
        part: the temporary file.
        expected: digest and size.
        report: called as `report(done_bytes, total_bytes)`, total 0 when it is not known.
        retries: attempts, waits and time-outs.

    Raises:
        PlaceError: the URL did not give the file.
    """
    failures = 0
    first_digest: str | None = None
    with make_client(retries) as client:
        while True:
            try:
                got = _attempt(client, url, part, expected, report)
            except PlaceError:
                discard_part(part)
                raise
            except Trouble as trouble:
                failures += 1
                if failures >= retries.attempts:
                    raise _give_up(trouble, part, expected) from trouble
                time.sleep(retries.delay_s(failures, trouble.asked_s))
                continue
            if got.sha256 == expected.sha256:
                return
            discard_part(part)
            if got.resumed:
                continue  # two halves may be of two files: look at a whole one
            if first_digest is not None:
                raise _explain_wrong(got, first_digest, expected)
            first_digest = got.sha256


def discard_part(part: Path) -> None:
    """Removes a partial file and what is known of it."""
    part.unlink(missing_ok=True)
    _validator_path(part).unlink(missing_ok=True)


def looks_like_html(head: bytes) -> bool:
    """Whether a file starts as an HTML page does."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


def make_client(retries: Retries) -> httpx.Client:
    """A client with the time-outs of `retries`.

    Raises:
        PlaceError: the proxy settings cannot be used.
    """
    import httpx

    timeout = httpx.Timeout(retries.read_timeout_s, connect=retries.connect_timeout_s)
    # A file packed once more on the way would have another digest.
    headers = {"User-Agent": "regrow", "Accept": "*/*", "Accept-Encoding": "identity"}
    try:
        return httpx.Client(timeout=timeout, headers=headers)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise PlaceError(f"the proxy settings of this machine cannot be used: {error}") from error


def _attempt(
    client: httpx.Client,
    url: str,
    part: Path,
    expected: Expected,
    report: Callable[[int, int], None],
) -> Received:
    import httpx

    start = part.stat().st_size if part.exists() else 0
    if start and expected.bytes is not None and start >= expected.bytes:
        return Received(digest_file(part), start, resumed=True)
    try:
        with open_answer(client, url, _range_headers(part, start)) as response:
            if response.status_code != 416 or not start:
                _check_answer(response, start, expected)
                return receive(response, part, expected, report)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise PlaceError(str(error)) from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        if "certificate verify failed" in reason.lower():
            raise PlaceError(reason) from error
        raise Trouble(reason) from error
    # 416: the server's file is no longer than what is here, and that is not the expected one.
    discard_part(part)
    return _attempt(client, url, part, expected, report)


@contextmanager
def open_answer(
    client: httpx.Client, url: str, headers: dict[str, str]
) -> Iterator[httpx.Response]:
    """The answer to a request, its body not yet read.

    Follows redirects by hand, because httpx would read their bodies, however long.

    Raises:
        PlaceError: a redirect that is not followed.
    """
    request = client.build_request("GET", url, headers=headers)
    for _ in range(MAX_REDIRECTS + 1):
        response = client.send(request, stream=True)
        try:
            following = response.next_request
            if following is None:
                yield response
                return
        finally:
            response.close()
        if request.url.scheme == "https" and following.url.scheme != "https":
            raise PlaceError(f"redirects from https to {following.url.scheme}: not followed")
        request = following
    raise PlaceError(f"more than {MAX_REDIRECTS} redirects")


def _range_headers(part: Path, start: int) -> dict[str, str]:
    if not start:
        return {}
    validator = _validator_path(part)
    known = validator.read_text(encoding="ascii") if validator.exists() else ""
    return {"Range": f"bytes={start}-", **({"If-Range": known} if known else {})}


def _validator_path(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def check_status(response: httpx.Response, start: int) -> None:
    """Refuses answers that are not the file from byte `start` on, or the whole file.

    Raises:
        Trouble: another answer may come later.
        PlaceError: none will.
    """
    status = response.status_code
    if status in PASSING_STATUS or status >= 500:
        asked = response.headers.get("Retry-After", "")
        asked_s = float(asked) if asked.isdecimal() else 0.0
        raise Trouble(f"HTTP {status} {response.reason_phrase}", asked_s=asked_s)
    if status == 206:
        span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != start:
            raise PlaceError("answers with another part of the file than asked for")
    elif status != 200:
        raise PlaceError(f"HTTP {status} {response.reason_phrase}")
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise _html()


def _check_answer(response: httpx.Response, start: int, expected: Expected) -> None:
    check_status(response, start)
    promised = _promised_bytes(response)
    if (
        promised is not None
        and start * (response.status_code == 206) + promised > expected.limit_bytes
    ):
        raise PlaceError(
            f"changed upstream: promises {promised} bytes, not read; expected {expected}",
            kind="changed",
        )


def receive(
    response: httpx.Response,
    part: Path,
    expected: Expected,
    report: Callable[[int, int], None],
) -> Received:
    """Writes an answer's body to `part`, after what is there if the answer is a later part of it.

    Raises:
        PlaceError: a page for people, or more than is expected.
        Trouble: the connection broke.
    """
    import httpx

    resumed = response.status_code == 206
    if not resumed:
        discard_part(part)
        _keep_validator(response, part)
    part.touch()
    with part.open("rb") as stream:
        digest, done = hashlib.file_digest(stream, "sha256"), stream.tell()
    promised = _promised_bytes(response)
    total = expected.bytes or (0 if promised is None else done + promised)
    head = b""
    with part.open("ab") as target:
        try:
            for chunk in response.iter_raw():
                if not resumed and len(head) < HEAD_BYTES:
                    head += chunk[:HEAD_BYTES]
                    if looks_like_html(head):
                        raise _html()
                target.write(chunk)
                target.flush()  # what is here survives a kill
                digest.update(chunk)
                done += len(chunk)
                if done > expected.limit_bytes:
                    raise PlaceError(
                        f"changed upstream: {done} bytes and more; expected {expected}",
                        kind="changed",
                    )
                report(done, total)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise Trouble(f"{done} of {total or '?'} bytes came; {reason}", cut=True) from error
    # Without a length and without chunks, the end of the connection is the only mark of the end.
    if promised is None and "Transfer-Encoding" not in response.headers and done < total:
        raise Trouble(f"{done} of {total} bytes came", cut=True)
    return Received(digest.hexdigest(), done, resumed)


def _keep_validator(response: httpx.Response, part: Path) -> None:
    etag = response.headers.get("ETag", "")
    # A weak tag may not be used to resume (RFC 9110, 13.1.5).
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    if validator and validator.isascii():
        _validator_path(part).write_text(validator, encoding="ascii")


def _promised_bytes(response: httpx.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _html() -> PlaceError:
    return PlaceError("an HTML page came instead of data (a proxy or login page?)")


def _give_up(trouble: Trouble, part: Path, expected: Expected) -> PlaceError:
    if not trouble.cut or not part.exists():
        return PlaceError(trouble.reason, kind="unreachable", transient=True)
    reason = f"corrupt: cut short, {trouble.reason}"
    digests = f"received sha256 {digest_file(part)}, expected {expected}"
    return PlaceError(f"{reason}; {digests}", kind="corrupt", transient=True)


def _explain_wrong(got: Received, first_digest: str, expected: Expected) -> PlaceError:
    received = f"received sha256 {got.sha256} ({got.bytes} bytes), expected {expected}"
    if got.sha256 == first_digest:
        return PlaceError(
            f"changed upstream: the same other file came whole, twice; {received}", kind="changed"
        )
    return PlaceError(f"corrupt: other bytes came each time; {received}", kind="corrupt")
