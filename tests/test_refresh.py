"""Looking at sources: what is downloaded, what is recorded, and what runs then read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from regrow.engine.config import Settings, make_request
from regrow.engine.download import Retries
from regrow.engine.errors import DataError, SourceError, UserError
from regrow.engine.gc import collect_garbage
from regrow.engine.pipeline import Pipeline
from regrow.engine.progress import ignore
from regrow.engine.refresh import Look, look_at, mark_announced, unannounced
from regrow.engine.retrain import BackfillRequest, list_backfill
from regrow.engine.source_list import load_sources
from regrow.engine.versions import current_source, find_version, read_versions, versions_path
from regrow.engine.why import explain_stages
from regrow.models import get_spec
from tests.upstreams import Upstream, pack, serve

FIRST, SECOND = b"a;b\n1;2\n", b"a;b\n1;2\n3;4\n"
NAME = "air-quality"
QUICK = Retries(attempts=2, first_delay_s=0.001, max_delay_s=0.01)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as upstream:
        upstream.publish("air.zip", pack({"air.csv": FIRST}))
        yield upstream


def declare(folder: Path, url: str, csv: bytes = FIRST, extra: str = "refresh = true") -> None:
    archive = pack({"air.csv": csv})
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "sources.toml").write_text(
        f"""
        [air-quality]
        title = "a local source"
        homepage = "http://127.0.0.1/x"
        licence = "none"
        citation = "none"
        file = "air.csv"
        {extra}
        [air-quality.archive]
        name = "air.zip"
        mirror = "air/air.zip"
        urls = ["{url}/air.zip"]
        sha256 = "{sha256(archive)}"
        members = [{{ path = "air.csv", sha256 = "{sha256(csv)}", bytes = {len(csv)} }}]
        """
    )


@pytest.fixture
def settings(tmp_path: Path, upstream: Upstream) -> Settings:
    declare(tmp_path / "project", upstream.url)
    return Settings(tmp_path / "home", None, "sqlite://", "tensorflow", tmp_path / "project")


def look(settings: Settings) -> Look:
    return look_at(NAME, settings, ignore, QUICK)


def download(settings: Settings, version: str | None = None) -> bytes:
    """What a run's first stage leaves, with everything checked."""
    request = make_request(get_spec(NAME), versions={NAME: version} if version else None)
    pipeline = Pipeline(get_spec(NAME), request, settings)
    ref = pipeline.run_stage("download", {}, ignore)
    return pipeline.entry(ref).file("air.csv").read_bytes()


def test_what_is_unchanged_is_downloaded_once_to_know_it_and_never_again(
    settings: Settings, upstream: Upstream
) -> None:
    looks = [look(settings) for _ in range(3)]
    assert [found.outcome for found in looks] == ["unchanged"] * 3
    assert upstream.bodies == 1
    upstream.obeys = False  # sends the file though it need not: it is not read
    assert look(settings).downloaded_bytes == 0
    upstream.etags = False  # says nothing of the file: only its digest can tell
    assert look(settings).outcome == "unchanged"
    assert read_versions(settings.home, NAME) == []
    assert unannounced(settings) == []


def test_another_etag_of_the_same_bytes_is_no_change(
    settings: Settings, upstream: Upstream
) -> None:
    look(settings)
    upstream.salt = "another server of the same publisher"
    assert look(settings).outcome == "unchanged"
    assert upstream.bodies == 2
    look(settings)
    assert upstream.bodies == 2


def test_a_change_is_recorded_and_is_what_runs_read_from_then_on(
    settings: Settings, upstream: Upstream
) -> None:
    assert download(settings) == FIRST
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    found = look(settings)
    assert (found.outcome, found.version, found.previous) == (
        "changed",
        sha256(SECOND),
        sha256(FIRST),
    )
    upstream.files.clear()  # the bytes are in the cache already
    assert download(settings) == SECOND
    assert download(settings, sha256(FIRST)[:8]) == FIRST
    pipeline = Pipeline(get_spec(NAME), make_request(get_spec(NAME)), settings)
    assert explain_stages(pipeline, None)[0]["cached"]
    (recorded,) = read_versions(settings.home, NAME)
    assert recorded.origin == f"{upstream.url}/air.zip"


def test_a_source_that_goes_back_is_a_change_again(settings: Settings, upstream: Upstream) -> None:
    look(settings)
    for content in (SECOND, FIRST):
        upstream.publish("air.zip", pack({"air.csv": content}))
        assert look(settings).outcome == "changed"
        assert download(settings) == content


def test_a_backfill_goes_through_what_was_recorded_and_gc_leaves_the_newest(
    settings: Settings, upstream: Upstream, tmp_path: Path
) -> None:
    spec, contents = get_spec(NAME), [FIRST, SECOND, b"a;b\n5;6\n", b"a;b\n7;8\n"]
    for content in contents:
        upstream.publish("air.zip", pack({"air.csv": content}))
        look(settings)
    upstream.publish("air.zip", pack({"air.csv": contents[3]}, comment=b"packed anew"))
    look(settings)

    def backfilled(**what: Any) -> list[str]:
        jobs = list_backfill(spec, BackfillRequest(model=NAME, **what), settings)
        return [job.options[-1].removeprefix(f"--data-version={NAME}=") for job in jobs]

    assert backfilled() == [sha256(content) for content in contents]
    short = [{NAME: sha256(content)[:8]} for content in (contents[3], FIRST)]
    assert backfilled(versions=short) == [sha256(contents[3]), sha256(FIRST)]
    with pytest.raises(UserError, match="no version 'abc'"):
        backfilled(versions=[{NAME: "abc"}])
    with pytest.raises(ValidationError, match="not both"):
        BackfillRequest(model=NAME, files=[{NAME: tmp_path}], versions=short)
    collect_garbage(settings, keep=2, dry_run=False)
    # What is declared can be downloaded again; of the others, the cache has the only copy.
    assert backfilled() == [sha256(content) for content in (FIRST, contents[3])]
    for content in (FIRST, contents[3]):
        upstream.publish("air.zip", pack({"air.csv": content}))
        assert download(settings, sha256(content)) == content


def test_the_same_files_packed_anew_are_no_new_version(
    settings: Settings, upstream: Upstream
) -> None:
    upstream.publish("air.zip", pack({"air.csv": FIRST}, comment=b"packed on a Tuesday"))
    assert look(settings).outcome == "repacked"
    assert look(settings).outcome == "unchanged"
    assert upstream.bodies == 1
    assert unannounced(settings) == []
    assert download(settings) == FIRST


@pytest.mark.parametrize(
    "spoil",
    [
        lambda up: up.publish("air.zip", b"no archive at all"),
        lambda up: up.publish("air.zip", pack({"other.csv": SECOND})),
        lambda up: up.publish("air.zip", pack({"air.csv": SECOND})[:-30]),
        lambda up: up.publish("air.zip", b"<!doctype html><p>log in first"),
        lambda up: up.files.clear(),
    ],
    ids=["no archive", "another member", "cut", "a page for people", "gone"],
)
def test_what_is_not_the_source_is_not_recorded(
    spoil: Callable[[Upstream], None], settings: Settings, upstream: Upstream
) -> None:
    look(settings)
    spoil(upstream)
    with pytest.raises((DataError, SourceError)):
        look(settings)
    assert read_versions(settings.home, NAME) == []
    assert download_still_works(settings, upstream)
    assert not list(settings.home.glob("downloads/.tmp-*"))


def download_still_works(settings: Settings, upstream: Upstream) -> bool:
    upstream.publish("air.zip", pack({"air.csv": FIRST}))
    return download(settings) == FIRST


def test_a_digest_that_somebody_declares_later_counts(
    settings: Settings, upstream: Upstream
) -> None:
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    look(settings)
    third = b"a;b\n5;6\n"
    declare(settings.project, upstream.url, third)
    upstream.publish("air.zip", pack({"air.csv": third}))
    assert download(settings) == third
    assert look(settings).outcome == "unchanged"


def test_a_folder_is_looked_at_by_its_files_times(settings: Settings, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "air").mkdir(parents=True)
    path = mirror / "air" / "air.zip"
    path.write_bytes(pack({"air.csv": FIRST}))
    here = Settings(settings.home, str(mirror), "sqlite://", "tensorflow", settings.project)
    assert look(here).downloaded_bytes > 0
    assert look(here).downloaded_bytes == 0
    path.write_bytes(pack({"air.csv": SECOND}))
    os.utime(path, (1, 1))
    assert look(here).outcome == "changed"
    assert download(here) == SECOND


def test_news_stay_news_until_they_were_told(settings: Settings, upstream: Upstream) -> None:
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    look(settings)
    (news,) = unannounced(settings)
    assert (news.source, news.version) == (NAME, sha256(SECOND))
    look(settings)
    assert len(unannounced(settings)) == 1
    mark_announced(settings, NAME, news.version)
    assert unannounced(settings) == []


def test_a_line_that_a_kill_cut_short_spoils_no_other(
    settings: Settings, upstream: Upstream
) -> None:
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    look(settings)
    with versions_path(settings.home, NAME).open("a") as stream:
        stream.write('{"source": "air-qu')
    upstream.publish("air.zip", pack({"air.csv": FIRST}))
    look(settings)
    assert [v.version for v in read_versions(settings.home, NAME)] == [
        sha256(SECOND),
        sha256(FIRST),
    ]


def test_a_version_that_nobody_knows_is_named_with_those_that_are(settings: Settings) -> None:
    source = load_sources(settings.data_dir / "sources.toml")[NAME]
    with pytest.raises(UserError, match="no version 'abc'") as caught:
        find_version(settings.home, source, "abc")
    assert sha256(FIRST)[:12] in str(caught.value)
    with pytest.raises(UserError, match="no version ''"):
        find_version(settings.home, source, "")
    with pytest.raises(UserError, match="excludes the sample"):
        make_request(get_spec(NAME), data="sample", versions={NAME: "abc"})
    with pytest.raises(UserError, match="reads no source 'babi'"):
        make_request(get_spec(NAME), versions={"babi": "abc"})


def test_a_source_that_is_not_declared_to_change_is_not_looked_at(
    settings: Settings, upstream: Upstream
) -> None:
    declare(settings.project, upstream.url, extra="")
    with pytest.raises(UserError, match="not a source that is looked at"):
        look(settings)
    source = load_sources(settings.data_dir / "sources.toml")[NAME]
    assert current_source(settings.home, source) == source
