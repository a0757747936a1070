"""Sources: what is declared, where it is looked for, and what is said when nobody has it."""

from __future__ import annotations

import hashlib
import io
import os
import random
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import DataError, SourceError, UserError, is_transient
from regrow.sources import fetch as module
from regrow.sources.credit import Credit, credit
from regrow.sources.fetch import Source, fetch, load_sources, source_version
from regrow.sources.retries import Retries
from tests.support.http_servers import Handler, HttpServer

REPOSITORY = Path(__file__).resolve().parents[2]
CSV = b"Date;Time;CO(GT)\r\n" + random.Random(3).randbytes(50_000).hex().encode()
QUICK = Retries(attempts=2, first_delay_s=0.001, max_delay_s=0.01)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as container:
        for name, content in members.items():
            container.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def make_tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as container:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            container.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ZIP = make_zip({"readings.csv": CSV, "readings.xlsx": b"not wanted"})


class Upstream:
    """A web server for a folder, which counts the requests and may wait before it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        upstream = self

        class Asked(Handler, SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.paths.append(self.path)
                upstream.may_answer.wait(60)
                super().do_GET()

        self.http = HttpServer(partial(Asked, directory=folder))
        self.url = self.http.address


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    folder = tmp_path / "upstream"
    folder.mkdir()
    server = Upstream(folder)
    yield server
    server.http.close()


@pytest.fixture
def dead_url() -> Iterator[str]:
    """An address that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def declare(*urls: str, **changes: Any) -> Source:
    """A source whose file is a member of a zip."""
    archive = {
        "name": "readings.zip",
        "mirror": "air/readings.zip",
        "urls": urls,
        "sha256": sha256(ZIP),
        "bytes": len(ZIP),
        "members": [{"path": "readings.csv", "sha256": sha256(CSV), "bytes": len(CSV)}],
    }
    table = {
        "name": "readings",
        "title": "Readings",
        "homepage": "https://example.org/readings",
        "doi": "10.1000/182",
        "licence": "CC BY 4.0",
        "citation": "Someone (2008). Readings.",
        "sample": "samples/readings.csv",
        "file": "readings.csv",
        "archive": archive,
    }
    return Source.model_validate({**table, **changes})


def get(source: Source, folder: Path, **options: Any) -> dict[str, Any]:
    """Fetches into folder/out, with the cache in folder/downloads."""
    defaults: dict[str, Any] = {
        "downloads": folder / "downloads",
        "mirror": None,
        "local": None,
        "sample": False,
        "data_dir": folder / "data",
        "progress": lambda _what, _done, _total: None,
        "retries": QUICK,
    }
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return fetch(source, folder / "out", **{**defaults, **options})


def fail(source: Source, folder: Path, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        get(source, folder, **options)
    assert list((folder / "out").iterdir()) == []
    return caught.value


def files_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


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
    (upstream.folder / "other.zip").write_bytes(make_zip({"readings.csv": b"1"}))
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
    other = make_zip({"readings.csv": b"new readings"})
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


def version(source: Source, **options: Any) -> str:
    defaults: dict[str, Any] = {"sample": False, "local": None, "data_dir": Path()}
    return source_version(source, **{**defaults, **options})


def test_sample_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "data/samples").mkdir(parents=True)
    (tmp_path / "data/samples/readings.csv").write_bytes(b"sample")

    facts = get(declare(), tmp_path, sample=True)

    assert (tmp_path / "out/readings.csv").read_bytes() == b"sample"
    assert facts["kind"] == "sample"
    assert facts["sha256"] == sha256(b"sample")
    assert facts["origin"] == "data/samples/readings.csv"
    due = credit(declare(), facts["kind"], facts["sha256"])
    assert "sample" in due.title
    assert due.licence != "CC BY 4.0"
    assert due.citation == ""


@pytest.mark.parametrize("sample", ["samples/none.csv", None])
def test_missing_sample_is_a_clear_error(tmp_path: Path, sample: str | None) -> None:
    with pytest.raises(UserError, match="has no sample"):
        get(declare(sample=sample), tmp_path, sample=True)


def test_local_file_is_taken_as_it_is(tmp_path: Path) -> None:
    local = tmp_path / "mine.csv"
    local.write_bytes(b"my own readings")

    facts = get(declare(), tmp_path, local=local)

    assert (tmp_path / "out/readings.csv").read_bytes() == b"my own readings"
    assert (facts["kind"], facts["origin"]) == ("local", str(local))
    assert credit(declare(), facts["kind"], facts["sha256"]).licence == "not stated"


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_local_archive_gives_the_member_without_a_digest(tmp_path: Path, make: Any) -> None:
    local = tmp_path / "mine.download"
    local.write_bytes(make({"readings.csv": b"my own readings", "other": b""}))

    get(declare(), tmp_path, local=local)

    assert files_in(tmp_path / "out") == ["readings.csv"]
    assert (tmp_path / "out/readings.csv").read_bytes() == b"my own readings"


def test_local_copy_of_the_real_data_keeps_its_licence(tmp_path: Path) -> None:
    local = tmp_path / "mine.zip"
    local.write_bytes(ZIP)

    facts = get(declare(), tmp_path, local=local)

    assert facts["kind"] == "local"
    assert credit(declare(), facts["kind"], facts["sha256"]).licence == "CC BY 4.0"


@pytest.mark.parametrize("pack", [bytes, lambda content: make_zip({"readings.csv": content})])
def test_sample_given_as_a_local_file_stays_a_sample(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "data/samples").mkdir(parents=True)
    (tmp_path / "data/samples/readings.csv").write_bytes(b"sample")
    local = tmp_path / "mine"
    local.write_bytes(pack(b"sample"))

    assert get(declare(), tmp_path, local=local)["kind"] == "sample"

    local.write_bytes(pack(b"sample, changed"))
    assert get(declare(), tmp_path, local=local)["kind"] == "local"


def test_local_archive_that_escapes_is_refused(tmp_path: Path) -> None:
    local = tmp_path / "mine.zip"
    local.write_bytes(make_zip({"readings.csv": CSV, "../evil": b""}))

    with pytest.raises(DataError, match="a path outside the folder"):
        get(declare(), tmp_path, local=local)


def test_one_plain_file_cannot_stand_for_several(tmp_path: Path) -> None:
    members = [{"path": f"{name}.txt", "sha256": "0" * 64} for name in "ab"]
    archive = {**declare().archive.model_dump(), "members": members}  # type: ignore[union-attr]
    local = tmp_path / "a.txt"
    local.write_bytes(b"a")

    with pytest.raises(DataError, match="consists of several files"):
        get(declare(file=".", archive=archive), tmp_path, local=local)


def test_an_own_archive_may_hold_some_of_several_files(upstream: Upstream, tmp_path: Path) -> None:
    two = make_tar({"data/a.txt": b"a", "data/c.txt": b"not wanted"})
    members = [{"path": f"data/{name}.txt", "sha256": sha256(name.encode())} for name in "ab"]
    archive = {**declare().archive.model_dump(), "members": members}  # type: ignore[union-attr]
    archive |= {"sha256": sha256(two), "bytes": len(two), "urls": [f"{upstream.url}/two.tar.gz"]}
    source = declare(file="data", archive=archive, sample="samples/two.tar.gz")
    (tmp_path / "data/samples").mkdir(parents=True)
    (tmp_path / "data/samples/two.tar.gz").write_bytes(two)
    (upstream.folder / "two.tar.gz").write_bytes(two)
    local, none = tmp_path / "mine.tar.gz", tmp_path / "none.tar.gz"
    local.write_bytes(make_tar({"data/a.txt": b"A"}))
    none.write_bytes(make_tar({"data/c.txt": b"not wanted"}))

    assert get(source, tmp_path, sample=True)["kind"] == "sample"
    assert files_in(tmp_path / "out") == ["data/a.txt"]
    assert get(source, tmp_path, local=local)["kind"] == "local"
    assert (tmp_path / "out/data/a.txt").read_bytes() == b"A"
    local.write_bytes(two)
    assert get(source, tmp_path, local=local)["kind"] == "sample"
    with pytest.raises(DataError, match="no file that can be used for"):
        get(source, tmp_path, local=none)
    # Real data is whole or refused.
    with pytest.raises(DataError, match="does not contain a member"):
        get(source, tmp_path)


@pytest.mark.parametrize(
    ("name", "received"), [("none.csv", "file not found"), (".", "a folder"), ("empty", "0 bytes")]
)
def test_unusable_local_file(tmp_path: Path, name: str, received: str) -> None:
    (tmp_path / "empty").touch()

    for ask in (partial(get, declare(), tmp_path), partial(version, declare())):
        with pytest.raises(UserError) as caught:
            ask(local=tmp_path / name)
        assert caught.value.received == received
        assert "--source readings=" in str(caught.value.where)


def test_version_tells_data_and_kind_apart(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    sample, own = tmp_path / "samples/readings.csv", tmp_path / "own.csv"
    sample.write_bytes(b"same")
    own.write_bytes(b"same")
    ask = partial(version, declare(), data_dir=tmp_path)
    as_sample, as_own = ask(sample=True), ask(local=own)

    assert ask() == sha256(CSV)
    assert len({ask(), as_sample, as_own}) == 3

    own.write_bytes(b"changed")
    assert ask(local=own) != as_own
    assert ask(sample=True) == as_sample


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


def test_corpora_that_never_change_are_not_refreshed_and_have_https_where_it_exists() -> None:
    sources = load_sources(REPOSITORY / "data/sources.toml")

    assert not sources.errors
    assert sources.refreshed == ["air-quality"]
    plain = [url for s in sources.values() for url in s.remote.urls if url.startswith("http:")]
    assert plain == ["http://www.thespermwhale.com/jaseweston/babi/tasks_1-20_v1-2.tar.gz"]


def test_the_shipped_list_is_whole() -> None:
    source = load_sources(REPOSITORY / "data/sources.toml")["air-quality"]

    assert source.file == "AirQualityUCI.csv"
    assert version(source).startswith("13277ae5")
    assert [url.startswith("https://archive.ics.uci.edu/") for url in source.remote.urls] == [
        True
    ] * 2


GOOD = """
[readings]
title = "Readings"
homepage = "https://example.org/"
licence = "CC0"
citation = ""
file = "readings.csv"
[readings.plain]
name = "readings.csv"
urls = ["https://example.org/readings.csv"]
sha256 = "{digest}"
""".replace("{digest}", "0" * 64)


@pytest.mark.parametrize(
    ("text", "replacement", "said"),
    [
        ("[readings]", "[readings", "not valid TOML"),
        ("licence =", "license =", "license: Extra inputs are not permitted"),
        ('file = "readings.csv"', "", "file: Field required"),
        ('file = "readings.csv"', 'file = "../readings.csv"', "a path outside the folder"),
        ('file = "readings.csv"', 'file = "/readings.csv"', "absolute path"),
        ('urls = ["https', 'urls = ["ftp', "plain.urls.0"),
        ("urls = ", "# ", "requires urls, a path, a mirror or a package"),
        ("0" * 64, "0" * 63, "plain.sha256"),
        ("[readings.plain]", "[readings.archive]", "archive.members: Field required"),
        ("[readings]", "[Air_Quality]", "name"),
        (GOOD, "readings = 3", "expected a table"),
        (GOOD[GOOD.index("[readings.plain]") :], "", "either an archive or a plain file"),
    ],
)
def test_broken_list_is_a_clear_error(
    tmp_path: Path, text: str, replacement: str, said: str
) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(GOOD)
    assert load_sources(path)["readings"].licence == "CC0"

    path.write_text(GOOD.replace(text, replacement, 1))
    with pytest.raises(UserError) as caught:
        load_sources(path)[next(iter(load_sources(path)))]

    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_file_must_be_a_member_or_the_folder_of_all() -> None:
    with pytest.raises(ValueError, match="neither a member nor the folder"):
        declare(file="other.csv")


def test_missing_list_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_sources(tmp_path / "sources.toml")


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys, regrow.sources.fetch\n"
        "heavy = {'httpx', 'pandas', 'numpy', 'pyarrow', 'tensorflow'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}

    result = subprocess.run([sys.executable, "-c", script], env=environment, check=False)

    assert result.returncode == 0


@pytest.mark.real_data
def test_real_file_from_the_mirror(mirror: Path, tmp_path: Path) -> None:
    source = load_sources(REPOSITORY / "data/sources.toml")["air-quality"]

    facts = get(source, tmp_path, mirror=str(mirror))

    assert facts["kind"] == "real"
    content = (tmp_path / "out/AirQualityUCI.csv").read_bytes()
    assert facts["sha256"] == sha256(content) == version(source)
    assert (facts["bytes"], content.count(b"\r\n")) == (785_065, 9472)
