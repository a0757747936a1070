"""One member out of a zip on a real server of this machine that knows ranges, or misbehaves."""

from __future__ import annotations

import hashlib
import io
import random
import sys
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from regrow.sources import remote_zip as module
from regrow.sources.download import Expected
from regrow.sources.fetch import Source, fetch
from regrow.sources.remote_zip import download_member
from regrow.sources.retries import LocationError, Retries
from tests.support.http_servers import Handler, HttpServer
from tests.support.memory import measure_peak

RANDOM = random.Random(11)
WANTED = b"".join(b"word%d %.4f\n" % (n, RANDOM.random()) for n in range(60_000))
OTHERS = {f"other.{n}.txt": RANDOM.randbytes(3_000_000) for n in range(4)}
EXPECTED = Expected(hashlib.sha256(WANTED).hexdigest(), len(WANTED))
QUICK = Retries(attempts=3, first_delay_s=0.001, max_delay_s=0.01, read_timeout_s=5)


def make_zip(wanted: bytes = WANTED, name: str = "glove/wanted.txt") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as container:
        for other, content in list(OTHERS.items())[:2]:
            container.writestr(other, content)
        container.writestr(name, wanted)
        for other, content in list(OTHERS.items())[2:]:
            container.writestr(other, content)
    return buffer.getvalue()


ZIP = make_zip()
Answer = Callable[[BaseHTTPRequestHandler, int, int], None]


class Server:
    """Serves parts of `content`; `answer` may do otherwise for a request by its number."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sent_bytes = 0
        self.requests = 0
        self.answer: Answer | None = None
        server = self

        class Asked(Handler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests += 1
                asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
                start, _, end = asked.partition("-")
                last = min(int(end or len(server.content)), len(server.content) - 1)
                (server.answer or send_part)(self, int(start), last)

        self.http = HttpServer(Asked, parent=self)
        self.url = f"{self.http.address}/all.zip#glove/wanted.txt"


def send_part(handler: BaseHTTPRequestHandler, start: int, last: int, cut: int = 0) -> None:
    server = handler.server.parent  # type: ignore[attr-defined]
    content = server.content[start : last + 1]
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) - cut])
    server.sent_bytes += len(content) - cut
    if cut:
        handler.close_connection = True


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], Server]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    servers: list[Server] = []

    def start(content: bytes) -> Server:
        servers.append(Server(content))
        return servers[-1]

    yield start
    for server in servers:
        server.http.close()


Serve = Callable[[bytes], Server]


def get(url: str, part: Path, expected: Expected = EXPECTED) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    report = lambda done, total: seen.append((done, total))  # noqa: E731
    download_member(url, part, expected, report=report, retries=QUICK)
    return seen


def test_only_the_member_comes(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 100_000)
    server = serve(ZIP)
    seen = get(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == WANTED
    assert seen[-2:][0] == (len(WANTED), len(WANTED))
    packed = zipfile.ZipFile(io.BytesIO(ZIP)).getinfo("glove/wanted.txt").compress_size
    assert packed < server.sent_bytes < packed + 500_000 < len(ZIP) / 10
    assert server.requests > 3


def test_cuts_and_passing_errors_are_tried_again(serve: Serve, tmp_path: Path) -> None:
    server = serve(ZIP)

    def answer(handler: BaseHTTPRequestHandler, start: int, last: int) -> None:
        if server.requests % 3 == 1:
            handler.send_error(503)
        elif server.requests % 3 == 2 and last - start > 100:
            send_part(handler, start, last, cut=50)
        else:
            send_part(handler, start, last)

    server.answer = answer
    get(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == WANTED


def send_all(handler: BaseHTTPRequestHandler, _start: int, _last: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(b"0123456789")


def send_other_place(handler: BaseHTTPRequestHandler, start: int, last: int) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {start + 1}-{last + 1}/99")
    handler.send_header("Content-Length", "1")
    handler.end_headers()
    handler.wfile.write(b"x")


def send_html(handler: BaseHTTPRequestHandler, _start: int, _last: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", "6")
    handler.end_headers()
    handler.wfile.write(b"<html>")


@pytest.mark.parametrize(
    ("answer", "said", "transient"),
    [
        (send_all, "does not support range requests", False),
        (send_other_place, "a different part", False),
        (send_html, "HTML page", False),
        (lambda handler, *_: handler.send_error(404), "404", False),
        (lambda handler, *_: handler.send_error(503), "503", True),
        (lambda handler, s, e: send_part(handler, s, e, cut=1), "bytes", True),
    ],
)
def test_servers_that_cannot_be_used(
    answer: Answer, said: str, transient: bool, serve: Serve, tmp_path: Path
) -> None:
    server = serve(ZIP)
    server.answer = answer
    with pytest.raises(LocationError, match=said) as caught:
        get(server.url, tmp_path / "part")
    assert caught.value.transient == transient
    assert server.requests == (QUICK.attempts if transient else 1)
    assert not (tmp_path / "part").exists()


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "said", "kind"),
    [
        (make_zip(name="else.txt"), "has no member glove/wanted.txt", "changed"),
        (make_zip(WANTED + b"more\n"), "changed upstream: different glove/wanted.txt", "changed"),
        (make_zip(b"x" * 20_000_000), "changed upstream: more than", "changed"),
        (flip(ZIP, ZIP.index(b"glove/wanted.txt") + 50_000), "cannot be read", "corrupt"),
        (ZIP[: len(ZIP) // 2], "cannot be read", "corrupt"),
        (b"no zip at all", "cannot be read", "corrupt"),
    ],
    ids=["no member", "other member", "huge member", "damaged", "cut", "no zip"],
)
def test_zips_that_are_not_the_expected_one(
    content: bytes, said: str, kind: str, serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(LocationError, match=said) as caught:
        get(serve(content).url, tmp_path / "part")
    assert caught.value.kind == kind


def declare(url: str) -> Source:
    plain = {"name": "wanted.txt", "urls": [url], "sha256": EXPECTED.sha256, "bytes": len(WANTED)}
    return Source.model_validate(
        {
            "name": "vectors",
            "title": "Vectors",
            "homepage": "https://example.org/vectors",
            "licence": "PDDL 1.0",
            "citation": "",
            "file": "wanted.txt",
            "plain": plain,
        }
    )


def fetch_into(folder: Path, url: str) -> dict[str, object]:
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return fetch(
        declare(url),
        folder / "out",
        downloads=folder / "downloads",
        mirror=None,
        local=None,
        sample=False,
        data_dir=folder,
        progress=lambda *_: None,
        retries=QUICK,
    )


def test_a_source_inside_a_zip(serve: Serve, tmp_path: Path) -> None:
    server = serve(ZIP)
    facts = fetch_into(tmp_path, server.url)
    assert (tmp_path / "out" / "wanted.txt").read_bytes() == WANTED
    assert facts["sha256"] == EXPECTED.sha256
    assert facts["origin"] == server.url
    asked = server.requests
    fetch_into(tmp_path, server.url)  # from the cache
    assert server.requests == asked
    assert [path.name for path in (tmp_path / "downloads").rglob("*") if path.is_file()] == [
        EXPECTED.sha256
    ]


PEAK_SCRIPT = """
import sys
from pathlib import Path
from regrow.sources.download import Expected
from regrow.sources.retries import Retries
from regrow.sources.remote_zip import download_member
import httpx
print(peak_mib())
expected = Expected(sys.argv[3], int(sys.argv[4]))
download_member(sys.argv[1], Path(sys.argv[2]), expected, report=lambda *_: None, retries=Retries())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_small_while_a_large_member_comes(serve: Serve, tmp_path: Path) -> None:
    large = random.Random(1).randbytes(60_000_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as container:
        container.writestr("glove/wanted.txt", large)
    digest = hashlib.sha256(large).hexdigest()
    url, part = serve(buffer.getvalue()).url, tmp_path / "part"
    before, peak_mib = measure_peak(PEAK_SCRIPT, url, part, digest, len(large))
    assert part.stat().st_size == len(large)
    assert peak_mib - int(before) < 40


def make_lzma() -> bytes:
    """A member whose LZMA properties are damaged."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as container:
        container.writestr("glove/wanted.txt", WANTED[:20_000])
    content = bytearray(buffer.getvalue())
    content[content.index(b"glove/wanted.txt") + 20] = 0xFF
    return bytes(content)


def make_odd_name() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as container:
        container.writestr("ä.txt", b"odd")
        container.writestr("glove/wanted.txt", WANTED)
    return buffer.getvalue().replace("ä.txt".encode(), b"\xff\xff.txt")


@pytest.mark.parametrize("make", [make_lzma, make_odd_name])
def test_every_kind_of_damage_lets_the_next_place_be_asked(
    make: Callable[[], bytes], serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(LocationError, match="the zip cannot be read") as caught:
        get(serve(make()).url, tmp_path / "part")
    assert caught.value.kind == "corrupt"
