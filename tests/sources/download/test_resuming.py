"""Downloads that are cut and resumed, against a real server that misbehaves as it is told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from regrow.sources import download as module
from regrow.sources.download import Expected, download
from tests.support.commands import wait_for
from tests.support.downloads import (
    CONTENT,
    EXPECTED,
    OTHER,
    QUICK,
    Answer,
    Serve,
    fail,
    get,
)


def test_whole_file_with_progress(serve: Serve, part: Path) -> None:
    server, seen = serve(Answer()), []

    download(server.url, part, EXPECTED, report=lambda *now: seen.append(now), retries=QUICK)

    assert part.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert "range" not in server.requests[0]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_cut_is_resumed_with_range_and_if_range(serve: Serve, part: Path) -> None:
    tag = {"ETag": '"v1"'}
    server = serve(Answer(stop_after=100_000, headers=tag), Answer(headers=tag))

    get(server.url, part)

    assert part.read_bytes() == CONTENT
    assert server.requests[1]["range"] == "bytes=100000-"
    assert server.requests[1]["if-range"] == '"v1"'
    assert server.sent_bytes == [100_000, 200_000]


def test_last_modified_stands_in_for_a_weak_etag(serve: Serve, part: Path) -> None:
    day = "Thu, 03 Sep 2015 15:39:00 GMT"
    server = serve(
        Answer(stop_after=10, headers={"ETag": 'W/"v1"', "Last-Modified": day}), Answer()
    )

    get(server.url, part)

    assert server.requests[1]["if-range"] == day
    assert part.read_bytes() == CONTENT


def test_file_replaced_during_a_cut_is_not_mixed(serve: Serve, part: Path) -> None:
    server = serve(
        Answer(content=OTHER, stop_after=100_000, headers={"ETag": '"old"'}),
        Answer(headers={"ETag": '"new"'}),
    )

    get(server.url, part)

    assert part.read_bytes() == CONTENT
    assert server.sent_bytes == [100_000, 300_000]


def test_mixed_halves_are_noticed_by_digest_and_fetched_whole(serve: Serve, part: Path) -> None:
    # No ETag: the resume succeeds, and only the digest tells.
    server = serve(Answer(content=OTHER, stop_after=100_000), Answer())

    get(server.url, part)

    assert part.read_bytes() == CONTENT
    assert [("range" in request) for request in server.requests] == [False, True, False]


def test_server_without_ranges_starts_again(serve: Serve, part: Path) -> None:
    server = serve(Answer(stop_after=100_000, ranges=False), Answer(ranges=False))

    get(server.url, part)

    assert part.read_bytes() == CONTENT
    assert "range" in server.requests[1]
    assert server.sent_bytes == [100_000, 300_000]


def test_partial_file_longer_than_the_server_has(serve: Serve, part: Path) -> None:
    part.write_bytes(OTHER + OTHER)
    server = serve(Answer())

    get(server.url, part, Expected(EXPECTED.sha256))

    assert part.read_bytes() == CONTENT
    assert [request.get("range") for request in server.requests] == ["bytes=600000-", None]


def test_whole_partial_file_needs_no_request(serve: Serve, part: Path) -> None:
    part.write_bytes(CONTENT)
    server = serve(Answer(status=500))

    get(server.url, part)

    assert server.requests == []


def test_wrong_partial_file_is_dropped(serve: Serve, part: Path) -> None:
    part.write_bytes(OTHER)
    server = serve(Answer())

    get(server.url, part)

    assert part.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_another_range_than_asked_for_is_refused(serve: Serve, part: Path) -> None:
    part.write_bytes(CONTENT[:1000])
    wrong = {"Content-Range": f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"}
    server = serve(Answer(status=206, headers=wrong))

    assert "a different part" in fail(server.url, part).reason
    assert not part.exists()


def test_killed_download_is_resumed_by_the_next_process(serve: Serve, part: Path) -> None:
    release = threading.Event()
    tag = {"ETag": '"v1"'}
    server = serve(Answer(stop_after=1_000, hold=release, headers=tag), Answer(headers=tag))
    script = (
        "import sys; from pathlib import Path\n"
        "from regrow.sources.download import Expected, download\n"
        "download(sys.argv[1], Path(sys.argv[2]), Expected(sys.argv[3], int(sys.argv[4])),"
        " report=lambda done, total: None)\n"
    )
    arguments = [server.url, str(part), EXPECTED.sha256, str(EXPECTED.bytes)]
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment)
    try:
        wait_for("the part", lambda: part.exists() and part.stat().st_size == 1_000, every_s=0.01)
    finally:
        process.kill()
        process.wait()
        release.set()

    get(server.url, part)

    assert part.read_bytes() == CONTENT
    assert server.requests[1]["range"] == "bytes=1000-"
    assert server.requests[1]["if-range"] == '"v1"'
    assert server.sent_bytes[1] == 299_000
