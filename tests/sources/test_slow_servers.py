"""Servers that send too little to be waited for, and slow ones that are."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.base.progress import ignore
from regrow.base.settings import read_environment
from regrow.sources.download import Expected, download
from regrow.sources.obtain import obtain
from regrow.sources.remote_zip import download_member
from regrow.sources.retries import Retries, TransientFailure, make_retries
from regrow.sources.source import Source
from tests.support.upstreams import serve

CONTENT = bytes(range(256)) * 200
EXPECTED = Expected(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
# One second of these limits is 120 seconds of the real ones.
SCALE = 120
LIMITS = Retries(
    attempts=2,
    first_delay_s=0.001,
    max_delay_s=0.001,
    rate_window_s=Retries.rate_window_s / SCALE,
    deadline_s=Retries.deadline_s / SCALE,
)
DRIP_S = 29 / SCALE
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(CONTENT)


class Slow:
    """Sends `first`, and then `rest` in pieces, each after a pause; counts its connections."""

    def __init__(self, first: bytes, rest: bytes, piece_bytes: int, pause_s: float) -> None:
        self.connections = 0
        self.closed = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/file"
        self.answer = (first, rest, piece_bytes, pause_s)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while not self.closed.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.send, args=(connection,), daemon=True).start()

    def send(self, connection: socket.socket) -> None:
        first, rest, piece_bytes, pause_s = self.answer
        with connection:
            connection.recv(65_536)
            try:
                connection.sendall(first)
                for start in range(0, len(rest), piece_bytes):
                    if self.closed.wait(pause_s):
                        return
                    connection.sendall(rest[start : start + piece_bytes])
            except OSError:
                return


@contextmanager
def run_slow(
    first: bytes, rest: bytes, *, piece_bytes: int = 1, pause_s: float = DRIP_S
) -> Iterator[Slow]:
    server = Slow(first, rest, piece_bytes, pause_s)
    try:
        yield server
    finally:
        server.closed.set()
        server.listener.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def get(url: str, folder: Path, limits: Retries = LIMITS) -> None:
    download(url, folder / "part", EXPECTED, report=lambda *_: None, retries=limits)


def get_member(url: str, folder: Path) -> None:
    url += "#member"
    download_member(url, folder / "part", EXPECTED, report=lambda *_: None, retries=LIMITS)


DRIPS: dict[str, tuple[bytes, bytes]] = {
    "the body": (HEAD + LENGTH, CONTENT),
    "a body without a length": (HEAD + b"\r\n", CONTENT),
    "the header": (HEAD + b"X-Long: ", b"a" * 10_000),
    "a chunk's extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 200),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: ", b"/" * 1000),
}


def fail(fetch: Callable[[str, Path], None], drip: str, folder: Path) -> None:
    with run_slow(*DRIPS[drip]) as server:
        started_s = time.monotonic()
        with pytest.raises(TransientFailure, match=r"too slow: .*MIN_BYTES_PER_S"):
            fetch(server.url, folder)
        assert time.monotonic() - started_s < 10
        assert server.connections == 2


@pytest.mark.parametrize("drip", DRIPS)
def test_a_server_that_drips_is_left(drip: str, tmp_path: Path) -> None:
    fail(get, drip, tmp_path)


def test_a_member_of_a_zip_that_drips_is_left(tmp_path: Path) -> None:
    fail(get_member, "the header", tmp_path)


def test_the_next_place_is_asked_when_one_drips(tmp_path: Path) -> None:
    with run_slow(HEAD + LENGTH, CONTENT) as slow, serve() as upstream:
        upstream.publish("file", CONTENT)
        source = declare(slow.url, f"{upstream.url}/file")
        got = obtain(source, tmp_path / "downloads", None, ignore, LIMITS)
        assert got.origin == f"{upstream.url}/file"
        assert got.path.read_bytes() == CONTENT


def declare(*urls: str) -> Source:
    plain = {"name": "file", "urls": urls, "sha256": EXPECTED.sha256, "bytes": EXPECTED.bytes}
    said = dict.fromkeys(("title", "licence", "citation"), "none")
    return Source.model_validate(
        {"name": "slow", "homepage": "http://127.0.0.1/x", "file": "file", "plain": plain, **said}
    )


def test_a_slow_but_steady_server_succeeds(tmp_path: Path) -> None:
    # 50 kB/s: a piece of 1 kB in each 20 ms, for two windows.
    with run_slow(HEAD + LENGTH, CONTENT, piece_bytes=1000, pause_s=0.02) as server:
        get(server.url, tmp_path)
        assert server.connections == 1
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert len(CONTENT) / 50_000 > 2 * LIMITS.rate_window_s


def test_the_defaults_let_100_mb_at_50_kb_per_second_through_and_no_drip() -> None:
    real = Retries()
    assert real.deadline_s > 100e6 / 50e3
    assert real.min_bytes_per_s < 50e3
    assert real.rate_window_s / 29 < real.min_bytes_per_s * real.rate_window_s
    # A server that drips holds the lock of a download for minutes and not for hours.
    assert real.attempts * real.rate_window_s * 1.1 + real.max_delay_s * 3 < 600


def test_at_the_deadline_an_address_is_left_and_its_part_is_kept(tmp_path: Path) -> None:
    limits = Retries(attempts=3, rate_window_s=5, deadline_s=2)
    with run_slow(HEAD + LENGTH, CONTENT, piece_bytes=1000, pause_s=0.1) as server:
        with pytest.raises(TransientFailure, match=r"not complete after 2 s"):
            get(server.url, tmp_path, limits)
        assert server.connections == 1
    part = (tmp_path / "part").read_bytes()
    assert part
    assert CONTENT.startswith(part)


def test_threads_and_connections_end_with_the_download(tmp_path: Path) -> None:
    before = set(threading.enumerate())  # some of an earlier test may end meanwhile
    with serve() as upstream:
        upstream.publish("file", CONTENT)
        get(f"{upstream.url}/file", tmp_path)
    assert set(threading.enumerate()) - before == set()


def test_the_environment_sets_the_limits(tmp_path: Path) -> None:
    home = {"REGROW_HOME": str(tmp_path)}
    retries = make_retries(read_environment(home))
    assert (retries.min_bytes_per_s, retries.deadline_s) == (1000, 3600)
    names = ("REGROW_DOWNLOAD_MIN_BYTES_PER_S", "REGROW_DOWNLOAD_DEADLINE_S")
    retries = make_retries(read_environment({**home, names[0]: "0.5", names[1]: "7200"}))
    assert (retries.min_bytes_per_s, retries.deadline_s) == (0.5, 7200)
    for name, text in ((names[0], "fast"), (names[1], "-1"), (names[1], "nan"), (names[0], "inf")):
        with pytest.raises(UserError, match="must be a number greater than 0") as caught:
            read_environment({**home, name: text})
        assert name in str(caught.value)
        assert text in str(caught.value)
