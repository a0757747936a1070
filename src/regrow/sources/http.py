"""HTTP requests whose bodies are not read before their status and their redirects are checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regrow.base.placeholders import SecretMissing, fill_secrets
from regrow.sources.retries import FailureKind, LocationError, Retries, TransientFailure
from regrow.sources.watch import Watch

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
NO_HEADERS: Mapping[str, str] = {}
# Transient besides all of 5xx: time-out, too early, too many requests.
TRANSIENT_STATUS = frozenset({408, 425, 429})
ABSENT_STATUS = frozenset({404, 410})
JSON = re.compile(rb"\[?\s*\{\s*[\"}]")
JSON_RECEIVED = "received JSON instead of data (possibly an error message of the server)"
# What may be in front of the first tag: declarations and comments.
PROLOGUE = re.compile(rb"\A(?:<\?xml[^>]*>|<!--.*?-->|\s)+", re.DOTALL)
# The roots of messages of object stores, SOAP, map services and RFC 7807.
XML_ERROR = re.compile(
    rb"<(\w+:)?(errors?|envelope|fault|(service)?exception(report)?|problem)[\s>]"
)
XML_RECEIVED = "received XML instead of data (possibly an error message of the server)"
XML_ENDINGS = (".xml", ".sgm", ".sgml")
NOTHING_RECEIVED = "the response is empty (0 bytes)"
HTML_RECEIVED = "received an HTML page instead of data (possibly a proxy or login page)"


@dataclass(frozen=True)
class Session:
    """A client for the requests to one location, and the watch over them.

    Attributes:
        private: the names of the headers that no other server gets.
    """

    client: httpx.Client
    watch: Watch
    private: frozenset[str] = frozenset()


@contextmanager
def open_session(retries: Retries, headers: Mapping[str, str] = NO_HEADERS) -> Iterator[Session]:
    """A session with the time-outs and limits of `retries`.

    Args:
        headers: sent with every request, but not to another server that one is redirected to.
            `${NAME}` in a value is taken from the environment.

    Raises:
        LocationError: the proxy settings cannot be used, or a variable is not set.
    """
    try:
        filled = {name: fill_secrets(value) for name, value in headers.items()}
    except SecretMissing as error:
        raise LocationError(str(error)) from error
    with Watch(retries) as watch, _make_client(retries, watch) as client:
        client.headers.update(filled)
        yield Session(client, watch, frozenset(filled))


def _make_client(retries: Retries, watch: Watch) -> httpx.Client:
    import httpx

    timeout = httpx.Timeout(retries.read_timeout_s, connect=retries.connect_timeout_s)
    # A body that a server compresses would have another digest.
    headers = {"User-Agent": "regrow", "Accept": "*/*", "Accept-Encoding": "identity"}
    try:
        return httpx.Client(
            timeout=timeout,
            headers=headers,
            event_hooks={"request": [watch.prepare], "response": [watch.follow]},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise LocationError(f"the proxy settings of this machine are not valid: {error}") from error


@contextmanager
def open_response(session: Session, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The response to a request, its body not yet read.

    Raises:
        TransientFailure: the connection failed, broke while the body was read, or was too slow.
        LocationError: the URL cannot be used, or it leads to a redirect that is not followed.
    """
    import httpx

    try:
        with (
            session.watch.request(),
            _follow_redirects(session, url, headers) as response,
        ):
            yield response
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise LocationError(str(error)) from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        if "certificate verify failed" in reason.lower():
            raise LocationError(reason) from error
        raise TransientFailure(reason) from error


@contextmanager
def _follow_redirects(
    session: Session, url: str, headers: dict[str, str]
) -> Iterator[httpx.Response]:
    # httpx would read the bodies of redirects, however long they are.
    request = session.client.build_request("GET", url, headers=headers)
    for _ in range(MAX_REDIRECTS + 1):
        response = session.client.send(request, stream=True)
        try:
            following = response.next_request
            if following is None:
                yield response
                return
        finally:
            response.close()
        if request.url.scheme == "https" and following.url.scheme != "https":
            raise LocationError(f"redirects from https to {following.url.scheme}: not followed")
        if _origin(request) != _origin(following):
            for name in session.private:
                following.headers.pop(name, None)
        request = following
    raise LocationError(f"more than {MAX_REDIRECTS} redirects")


def _origin(request: httpx.Request) -> tuple[str, str, int | None]:
    return request.url.scheme, request.url.host, request.url.port


def check_status(response: httpx.Response, start: int) -> None:
    """Refuses responses that are neither the file from byte `start` on nor the whole file.

    Raises:
        TransientFailure: a later response may be the file.
        LocationError: no later one will be.
    """
    status = response.status_code
    if status in TRANSIENT_STATUS or status >= 500:
        asked = response.headers.get("Retry-After", "")
        asked_s = float(asked) if asked.isdecimal() else 0.0
        raise TransientFailure(f"HTTP {status} {response.reason_phrase}", asked_s=asked_s)
    if status == 206:
        span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != start:
            raise LocationError("returns a different part of the file than requested")
    elif status != 200:
        kind: FailureKind = "absent" if status in ABSENT_STATUS else "refused"
        raise LocationError(f"HTTP {status} {response.reason_phrase}", kind=kind)
    content_type = response.headers.get("Content-Type", "").lower()
    if content_type.startswith(("text/html", "application/xhtml+xml")):
        raise LocationError(HTML_RECEIVED)
    if content_type.startswith("application/json") and not _is_json(response.url.path):
        raise LocationError(JSON_RECEIVED)


def explain_page(head: bytes, path: str) -> str | None:
    """Why a body that begins so is a message of the server and no data; None if it may be data.

    Args:
        head: the first bytes.
        path: the address's path; of a JSON file JSON is expected, and of an XML file XML.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    root = PROLOGUE.sub(b"", start)
    if root.startswith((b"<!doctype html", b"<html")):
        return HTML_RECEIVED
    if XML_ERROR.match(root) and not path.lower().endswith(XML_ENDINGS):
        return XML_RECEIVED
    return JSON_RECEIVED if JSON.match(start) and not _is_json(path) else None


def _is_json(path: str) -> bool:
    return path.lower().endswith((".json", ".jsonl", ".geojson", ".ndjson"))


def content_length(response: httpx.Response) -> int | None:
    """The number of bytes that a response's header announces; None if it announces none."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None
