"""Where a source is looked for, and what is said when nobody has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import SourceError, UserError, is_transient
from regrow.sources import fetch as module
from regrow.sources.credit import Credit, credit
from regrow.sources.fetch import Source, load_sources
from tests.conftest import REPOSITORY
from tests.support.fetching import (
    CSV,
    ZIP,
    Upstream,
    declare,
    files_in,
    get,
    make_tar,
    sha256,
    version,
)
from tests.support.upstreams import pack


@pytest.fixture
def dead_url() -> Iterator[str]:
    """An address that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def fail(source: Source, folder: Path, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        get(source, folder, **options)
    assert list((folder / "out").iterdir()) == []
    return caught.value


CACHED = f"{sha256(ZIP)[:2]}/{sha256(ZIP)}"


def test_member_from_url_with_facts(upstream: Upstream, tmp_path: Path) -> None:
    (upstream.folder / "a+b.zip").write_bytes(ZIP)
    source, seen = declare(f"{upstream.url}/a+b.zip"), []

    facts = get(source, tmp_path, progress=lambda *now: seen.append(now))

    assert files_in(tmp_path / "out") == ["readings.csv"]
    assert (tmp_path / "out/readings.csv").read_bytes() == CSV
    assert facts == {
        "kind": "real",
        "name": "readings",
        "file": "readings.csv",
        "sha256": sha256(CSV),
        "bytes": len(CSV),
        "origin": f"{upstream.url}/a+b.zip",
        "archive": {"name": "readings.zip", "sha256": sha256(ZIP), "bytes": len(ZIP)},
    }
    due = credit(declare(), facts["kind"], facts["sha256"])
    assert due == Credit("Readings", "CC BY 4.0", "Someone (2008). Readings.")
    assert seen[-1] == ("downloading readings.zip", len(ZIP), len(ZIP))
    assert files_in(tmp_path / "downloads") == [CACHED]  # no lock, no partial file


def test_second_fetch_asks_nobody(upstream: Upstream, tmp_path: Path) -> None:
    (upstream.folder / "a.zip").write_bytes(ZIP)
    source = declare(f"{upstream.url}/a.zip")
    get(source, tmp_path)

    facts = get(source, tmp_path)

    assert upstream.paths == ["/a.zip"]
    assert facts["sha256"] == sha256(CSV)


@pytest.mark.parametrize("damaged", [b"", ZIP[:-1], b"?" + ZIP[1:]], ids=["empty", "cut", "flip"])
def test_corrupt_cache_is_fetched_again(upstream: Upstream, tmp_path: Path, damaged: bytes) -> None:
    (upstream.folder / "a.zip").write_bytes(ZIP)
    source = declare(f"{upstream.url}/a.zip")
    get(source, tmp_path)
    (tmp_path / "downloads" / CACHED).write_bytes(damaged)

    get(source, tmp_path)

    assert upstream.paths == ["/a.zip"] * 2
    assert (tmp_path / "downloads" / CACHED).read_bytes() == ZIP
    assert files_in(tmp_path / "downloads") == [CACHED]


def test_mirror_folder_comes_before_urls(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "mirror/air").mkdir(parents=True)
    (tmp_path / "mirror/air/readings.zip").write_bytes(ZIP)
    source = declare(f"{upstream.url}/a.zip")

    facts = get(source, tmp_path, mirror=str(tmp_path / "mirror"))

    assert upstream.paths == []
    assert facts["origin"] == str(tmp_path / "mirror/air/readings.zip")
    assert files_in(tmp_path / "downloads") == [CACHED]


def test_mirror_url_is_laid_out_like_the_folder(upstream: Upstream, tmp_path: Path) -> None:
    (upstream.folder / "base/air").mkdir(parents=True)
    (upstream.folder / "base/air/readings.zip").write_bytes(ZIP)

    facts = get(declare(), tmp_path, mirror=f"{upstream.url}/base/")

    assert upstream.paths == ["/base/air/readings.zip"]
    assert facts["origin"] == f"{upstream.url}/base/air/readings.zip"


def test_password_of_a_mirror_is_not_shown(upstream: Upstream, tmp_path: Path) -> None:
    mirror = upstream.url.replace("://", "://user:hidden@")
    assert "hidden" not in str(fail(declare(), tmp_path, mirror=mirror))

    (upstream.folder / "air").mkdir()
    (upstream.folder / "air/readings.zip").write_bytes(ZIP)
    assert get(declare(), tmp_path, mirror=mirror)["origin"] == f"{upstream.url}/air/readings.zip"


def test_next_place_is_asked_when_one_fails(
    upstream: Upstream, tmp_path: Path, dead_url: str
) -> None:
    (upstream.folder / "page.zip").write_bytes(b"<!doctype html><p>Log in</p>")
    (upstream.folder / "other.zip").write_bytes(pack({"readings.csv": b"1"}))
    (upstream.folder / "a.zip").write_bytes(ZIP)
    names = ["missing.zip", "page.zip", "other.zip", "a.zip"]
    source = declare(f"{dead_url}/a.zip", *(f"{upstream.url}/{name}" for name in names))

    facts = get(source, tmp_path, mirror=str(tmp_path / "no-mirror"))

    assert facts["origin"] == f"{upstream.url}/a.zip"
    assert files_in(tmp_path / "downloads") == [CACHED]


def test_all_failed_names_each_place_and_the_ways_out(
    upstream: Upstream, tmp_path: Path, dead_url: str
) -> None:
    (upstream.folder / "page.zip").write_bytes(b"<!doctype html><p>Log in</p>")
    source = declare(f"{dead_url}/a.zip", f"{upstream.url}/b.zip", f"{upstream.url}/page.zip")

    error = fail(source, tmp_path, mirror=str(tmp_path / "no-mirror"))

    lines = (error.received or "").splitlines()
    assert len(lines) == 4
    for line, address, reason in zip(
        lines,
        [str(tmp_path / "no-mirror/air/readings.zip"), *source.remote.urls],
        ["does not exist or is not a folder", "refused", "404", "HTML page"],
        strict=True,
    ):
        assert line.startswith(address)
        assert reason in line
    ways = "\n".join(error.remedies)
    assert all(way in ways for way in ("REGROW_MIRROR", "--sample", "--source readings=PATH"))
    assert sha256(ZIP) in str(error)
    assert is_transient(error)
    assert files_in(tmp_path / "downloads") == []


def test_no_place_at_all_says_so(tmp_path: Path) -> None:
    error = fail(declare(), tmp_path)

    assert "no location to download from" in str(error.received)
    assert "REGROW_MIRROR" in error.remedies[0]
    assert not is_transient(error)


def test_only_lasting_reasons_are_not_transient(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()

    error = fail(declare(f"{upstream.url}/b.zip"), tmp_path, mirror=str(tmp_path / "mirror"))

    assert "the file is not in the mirror" in str(error)
    assert not is_transient(error)


def test_changed_upstream_is_said_with_both_digests(upstream: Upstream, tmp_path: Path) -> None:
    other = pack({"readings.csv": b"new readings"})
    (upstream.folder / "a.zip").write_bytes(other)

    error = fail(declare(f"{upstream.url}/a.zip"), tmp_path)

    assert "changed upstream" in error.what
    assert sha256(other) in str(error)
    assert sha256(ZIP) in str(error)
    assert not is_transient(error)
    assert files_in(tmp_path / "downloads") == []


@pytest.mark.parametrize(
    ("content", "verdict"), [(ZIP[:-7], "corrupt"), (b"?" + ZIP[1:], "changed upstream")]
)
def test_wrong_file_in_mirror_folder(tmp_path: Path, content: bytes, verdict: str) -> None:
    (tmp_path / "mirror/air").mkdir(parents=True)
    (tmp_path / "mirror/air/readings.zip").write_bytes(content)

    error = fail(declare(), tmp_path, mirror=str(tmp_path / "mirror"))

    assert verdict in error.what
    assert sha256(content) in str(error)
    assert files_in(tmp_path / "downloads") == []


def link_out_of_mirror(folder: Path, mode: int) -> str:
    """A mirror whose file is a link into a cache beside it, as DVC and git-annex make them."""
    (folder / "cache").mkdir()
    (folder / "cache/5e884898").write_bytes(ZIP)
    (folder / "cache/5e884898").chmod(mode)
    (folder / "mirror/air").mkdir(parents=True)
    (folder / "mirror/air/readings.zip").symlink_to(folder / "cache/5e884898")
    return str(folder / "mirror")


def test_mirror_file_must_not_lead_to_a_private_file(tmp_path: Path) -> None:
    error = fail(declare(), tmp_path, mirror=link_out_of_mirror(tmp_path, 0o600))

    assert "only its owner can read" in str(error)


def test_a_mirror_of_links_into_a_cache_is_read(tmp_path: Path) -> None:
    facts = get(declare(), tmp_path, mirror=link_out_of_mirror(tmp_path, 0o444))

    assert facts["kind"] == "real"
    assert (tmp_path / "out/readings.csv").read_bytes() == CSV


def test_repacked_mirror_archive_has_a_digest_of_its_own(tmp_path: Path) -> None:
    packed = make_tar({"en/a.txt": b"a", "en/b.txt": b"b"})
    upstream_archive = {
        "name": "texts.tar.gz",
        "mirror": {"path": "texts.tar.gz", "sha256": sha256(packed), "bytes": len(packed)},
        "urls": ["https://example.org/texts.tar.gz"],
        "sha256": "0" * 64,
        "members": [{"path": f"en/{name}.txt", "sha256": sha256(name.encode())} for name in "ab"],
    }
    source = declare(file="en", archive=upstream_archive)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/texts.tar.gz").write_bytes(packed)

    for mirror in (str(tmp_path / "mirror"), str(tmp_path / "mirror")):  # then from the cache
        facts = get(source, tmp_path, mirror=mirror)

        assert files_in(tmp_path / "out") == ["en/a.txt", "en/b.txt"]
        assert facts["file"] == "en"
        assert facts["bytes"] == 2
        assert facts["sha256"] == version(source)
        assert facts["archive"]["sha256"] == sha256(packed)


def test_plain_file_needs_no_archive(upstream: Upstream, tmp_path: Path) -> None:
    # A file that happens to be a zip stays as it is when it is declared as plain.
    (upstream.folder / "model.weights").write_bytes(ZIP)
    plain = {
        "name": "model.weights",
        "urls": [f"{upstream.url}/model.weights"],
        "sha256": sha256(ZIP),
    }
    source = declare(file="weights.bin", archive=None, plain=plain)

    facts = get(source, tmp_path)

    assert (tmp_path / "out/weights.bin").read_bytes() == ZIP
    assert facts["sha256"] == version(source) == sha256(ZIP)
    assert "archive" not in facts

    local = tmp_path / "own.bin"
    local.write_bytes(ZIP + b"own")
    get(source, tmp_path, local=local)
    assert (tmp_path / "out/weights.bin").read_bytes() == ZIP + b"own"


FETCH_SCRIPT = """
import json, sys
from pathlib import Path
from regrow.sources.fetch import Source, fetch
root, out = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
fetch(Source.model_validate_json(sys.argv[3]), out, downloads=root / "downloads", mirror=None,
      local=None, sample=False, data_dir=root, progress=lambda what, done, total: None)
"""


def test_two_processes_at_once_download_once(upstream: Upstream, tmp_path: Path) -> None:
    (upstream.folder / "a.zip").write_bytes(ZIP)
    # What a killed process may leave: a lock file that nobody holds.
    (tmp_path / "downloads").mkdir()
    (tmp_path / f"downloads/.lock-{sha256(ZIP)}").touch()
    upstream.may_answer.clear()
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    source = declare(f"{upstream.url}/a.zip").model_dump_json()
    command = [sys.executable, "-c", FETCH_SCRIPT, str(tmp_path)]
    processes = []
    for number in range(2):
        out = tmp_path / f"out-{number}"
        out.mkdir()
        process = subprocess.Popen(
            [*command, str(out), source], env=environment, stdout=subprocess.PIPE
        )
        processes.append(process)
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.stdout.close()
        time.sleep(1)  # the second would ask the server now, if it did not wait for the first
    finally:
        upstream.may_answer.set()
        codes = [process.wait(timeout=60) for process in processes]

    assert codes == [0, 0]
    assert upstream.paths == ["/a.zip"]
    assert all((tmp_path / f"out-{n}/readings.csv").read_bytes() == CSV for n in range(2))
    assert files_in(tmp_path / "downloads") == [CACHED]


def test_unwritable_cache_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "downloads").write_text("a file where a folder should be")

    with pytest.raises(UserError, match="download cache cannot be used"):
        get(declare(), tmp_path)


@pytest.mark.parametrize("kind", ["loop", "unreadable"])
def test_the_next_place_is_asked_when_a_mirror_cannot_be_read(
    kind: str, upstream: Upstream, tmp_path: Path
) -> None:
    (upstream.folder / "a.zip").write_bytes(ZIP)
    source = declare(f"{upstream.url}/a.zip")
    mirror = tmp_path / "mirror"
    if kind == "loop":
        (mirror / "air").mkdir(parents=True)
        (mirror / "air" / "readings.zip").symlink_to(mirror / "air" / "readings.zip")
    else:  # reading it from its start is an I/O error
        mirror = Path("/proc/self")
        remote = source.remote.model_copy(update={"mirror": "mem"})
        source = source.model_copy(update={"archive": remote})
        if not (mirror / "mem").is_file():
            pytest.skip("a file with I/O errors needs /proc/self/mem")

    assert get(source, tmp_path, mirror=str(mirror))["origin"] == f"{upstream.url}/a.zip"


@pytest.mark.real_data
def test_real_file_from_the_mirror(mirror: Path, tmp_path: Path) -> None:
    source = load_sources(REPOSITORY / "data/sources.toml")["air-quality"]

    facts = get(source, tmp_path, mirror=str(mirror))

    assert facts["kind"] == "real"
    content = (tmp_path / "out/AirQualityUCI.csv").read_bytes()
    assert facts["sha256"] == sha256(content) == version(source)
    assert (facts["bytes"], content.count(b"\r\n")) == (785_065, 9472)
