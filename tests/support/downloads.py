"""A web server that misbehaves as it is told, and downloads from it."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from regrow.sources.download import Expected, download
from regrow.sources.retries import LocationError, Retries
from tests.support.http_servers import Handler, HttpServer

CONTENT = random.Random(7).randbytes(300_000)


OTHER = random.Random(8).randbytes(300_000)


EXPECTED = Expected(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


QUICK = Retries(attempts=4, first_delay_s=0.001, max_delay_s=0.01, read_timeout_s=5)


@dataclass
class Answer:
    """How the server answers one request.

    Attributes:
        stop_after: close the connection after so many bytes of the body.
        ranges: whether Range is honoured.
        hold: wait for this before going on after `stop_after` bytes, instead of closing.
    """

    content: bytes = CONTENT
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stop_after: int | None = None
    ranges: bool = True
    length: bool = True
    hold: threading.Event | None = None


class Server:
    """Gives its answers in order, the last one for ever, and remembers the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, str]] = []
        self.sent_bytes: list[int] = []
        server = self

        class Asked(Handler):
            def do_GET(self) -> None:
                server.requests.append({k.lower(): v for k, v in self.headers.items()})
                number = len(server.requests) - 1
                server.sent_bytes.append(0)
                respond(self, server.answers[min(number, len(server.answers) - 1)], server, number)

        self.http = HttpServer(Asked)
        self.url = f"{self.http.address}/file.bin"


def respond(handler: BaseHTTPRequestHandler, answer: Answer, server: Server, number: int) -> None:
    content, status, headers = answer.content, answer.status, dict(answer.headers)
    asked = handler.headers.get("Range")
    fresh = handler.headers.get("If-Range") in (None, headers.get("ETag"))
    if asked and answer.ranges and fresh and status == 200:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        status = 206 if start < len(content) else 416
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        content = content[start:] if status == 206 else b""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if answer.length:
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    first = content[: answer.stop_after]
    rest = content[len(first) :] if answer.hold else b""
    for body in (first, rest):
        if body:
            server.sent_bytes[number] += len(body)
            handler.wfile.write(body)
        if body is first and answer.hold:
            answer.hold.wait(30)


Serve = Callable[..., Server]


def get(url: str, part: Path, expected: Expected = EXPECTED, retries: Retries = QUICK) -> None:
    download(url, part, expected, report=lambda _done, _total: None, retries=retries)


def fail(url: str, part: Path, expected: Expected = EXPECTED) -> LocationError:
    with pytest.raises(LocationError) as caught:
        get(url, part, expected)
    return caught.value
