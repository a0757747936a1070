"""Sources of which nobody has published a SHA-256, from a server that plays their publisher's."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.base.errors import DataError, SourceError, UserError
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.pipeline.fetch_ahead import fetch_ahead
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.why import explain_stages
from regrow.sources.catalog import declared_sources
from regrow.sources.first_sight import pin_file
from regrow.sources.refresh import list_refreshed
from regrow.sources.source import UNPINNED
from regrow.sources.versions import read_versions
from tests.support.commands import wait_for
from tests.support.projects import forget, use_project
from tests.support.upstreams import Upstream, serve

# X. Wang and H. Yu, How to break MD5 and other hash functions (EUROCRYPT 2005): one MD5, two files.
FIRST = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
TWIN = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e4888325f1415a085125e8f7cdc99fd91dbd7280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70"
)
MODEL = """
import regrow
class Mine(regrow.Model):
    data = "rows"
    table = regrow.columns(target="y", numbers=["x"])
"""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serve() as server:
        server.publish("rows.csv", FIRST)
        yield server


@pytest.fixture
def settings(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("REGROW_MIRROR", raising=False)
    with use_project(tmp_path, "mine"):
        (tmp_path / "mine" / "model.py").write_text(MODEL)
        declare(tmp_path, upstream, f'md5 = "{hashlib.md5(FIRST).hexdigest()}"\nbytes = 128')
        forget("mine")
        yield read_environment()


def declare(project: Path, upstream: Upstream, evidence: str, more: str = "") -> None:
    (project / "regrow.toml").write_text(
        f'models = ["mine"]\n[sources.rows]\nfile = "rows.csv"\n{more}\n'
        f'[sources.rows.plain]\nname = "rows.csv"\nurls = ["{upstream.url}/rows.csv"]\n{evidence}\n'
    )


def download(settings: Settings) -> dict[str, str]:
    """The facts of a run's download of `rows`; nothing of an earlier one is in store or cache."""
    for folder in (settings.home.downloads, settings.home.store):
        shutil.rmtree(folder, ignore_errors=True)
    spec = get_spec("mine")
    pipeline = Pipeline(spec, make_request(spec), settings)
    facts = pipeline.entry(pipeline.run_stage("download", {}, ignore)).facts
    source: dict[str, str] = facts["sources"][0]
    return source


def test_md5_and_length_let_the_first_file_in_and_its_sha256_every_later_one(
    settings: Settings, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    digest = hashlib.sha256(FIRST).hexdigest()
    assert hashlib.md5(FIRST).digest() == hashlib.md5(TWIN).digest()
    with caplog.at_level(logging.WARNING):
        found = download(settings)
    assert found["sha256"] == digest
    assert "checked by published MD5 and length" in found["origin"]
    [said] = [r.getMessage() for r in caplog.records if r.name == "regrow.sources.first_sight"]
    assert "rows: checked by published MD5 and length" in said
    assert digest in said
    [recorded] = read_versions(settings.home, "rows")
    assert (recorded.version, recorded.declared) == (digest, UNPINNED)
    assert list_refreshed(settings) == []  # nothing looks for another one
    assert download(settings)["sha256"] == digest
    upstream.publish("rows.csv", TWIN)
    with pytest.raises(SourceError) as raised:
        download(settings)
    text = str(raised.value)
    assert "it has changed upstream" in text
    assert f"expected sha256 {digest}" in text
    assert "sources/rows.jsonl" in text
    assert len(read_versions(settings.home, "rows")) == 1


@pytest.mark.parametrize("case", ["other bytes", "longer", "cut short", "a page", "gone"])
def test_what_is_not_the_declared_file_is_not_pinned(
    settings: Settings, upstream: Upstream, case: str
) -> None:
    contents = {"other bytes": bytes(128), "longer": FIRST + b"x", "a page": b"<!DOCTYPE html>"}
    upstream.publish("rows.csv", contents.get(case, FIRST))
    if case == "cut short":
        upstream.cut.add("rows.csv")
    if case == "gone":
        upstream.statuses["rows.csv"] = 404
    with pytest.raises(SourceError) as raised:
        download(settings)
    said = {
        "other bytes": f"received md5 {hashlib.md5(bytes(128)).hexdigest()} (128 bytes)",
        "longer": "(129 bytes), expected md5 79054025255fb1a26e4bc422aef54eb4 (128 bytes)",
        "cut short": "64 of 128 bytes received",
        "a page": "page",
        "gone": "404",
    }
    assert said[case] in str(raised.value)
    assert "--source rows=PATH" in str(raised.value)
    assert read_versions(settings.home, "rows") == []
    assert not [path for path in settings.home.downloads.rglob("*") if path.name.isalnum()]
    upstream.publish("rows.csv", FIRST)
    upstream.cut.clear()
    upstream.statuses.clear()
    assert download(settings)["sha256"] == hashlib.sha256(FIRST).hexdigest()


def test_why_downloads_nothing(settings: Settings, upstream: Upstream) -> None:
    spec = get_spec("mine")
    first, *_ = explain_stages(Pipeline(spec, make_request(spec), settings), None)
    assert first["reasons"] == ["a source has not been downloaded"]
    assert upstream.bodies == 0
    download(settings)
    first, *_ = explain_stages(Pipeline(spec, make_request(spec), settings), None)
    assert first["cached"]


def test_a_file_that_came_otherwise_is_checked_alike(settings: Settings, tmp_path: Path) -> None:
    source, path = declared_sources(settings)["rows"], tmp_path / "rows.csv"
    for content in (b"other", FIRST, TWIN):
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        if content == b"other":
            with pytest.raises(DataError, match="this is not rows"):
                pin_file(source, path, digest, settings, "a bundle")
        else:
            pin_file(source, path, digest, settings, "a bundle")
    [recorded] = read_versions(settings.home, "rows")
    assert recorded.version == hashlib.sha256(FIRST).hexdigest()


@pytest.mark.parametrize(
    ("evidence", "more", "said"),
    [
        (f'md5 = "{"0" * 32}"', "", "md5 also requires the length"),
        (f'md5 = "{"0" * 31}"\nbytes = 3', "", "pattern"),
        (f'md5 = "{"0" * 32}"\nbytes = 3', "refresh = true", "without refresh"),
        ("bytes = 3", "", "a source without sha256 must not declare an address"),
    ],
)
def test_a_declaration_that_cannot_be_checked_is_refused(
    settings: Settings, upstream: Upstream, evidence: str, more: str, said: str
) -> None:
    declare(settings.project, upstream, evidence, more)
    with pytest.raises(UserError, match=said):
        _ = declared_sources(read_environment())["rows"]


def test_what_is_fetched_ahead_is_found_by_the_run(settings: Settings, upstream: Upstream) -> None:
    spec = get_spec("mine")
    pipeline = Pipeline(spec, make_request(spec), settings)
    fetch_ahead(pipeline)
    wait_for("the download", lambda: read_versions(settings.home, "rows"), 30)
    entry = pipeline.entry(pipeline.run_stage("download", {}, ignore))
    [source] = entry.facts["sources"]
    assert source["origin"].startswith(f"{upstream.url}/rows.csv (checked by published MD5")
    assert upstream.bodies == 1
    fetch_ahead(pipeline)  # nothing is missing now
    assert "fetch-ahead" not in [thread.name for thread in threading.enumerate()]


def test_fetching_ahead_tells_no_failure(settings: Settings, upstream: Upstream) -> None:
    upstream.statuses["rows.csv"] = 404
    spec = get_spec("mine")
    fetch_ahead(Pipeline(spec, make_request(spec), settings))
    for thread in threading.enumerate():
        if thread.name == "fetch-ahead":
            thread.join(30)
    assert read_versions(settings.home, "rows") == []
    with pytest.raises(SourceError, match="404"):
        download(settings)
