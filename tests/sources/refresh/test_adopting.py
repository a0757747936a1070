"""Looking at a source: what is downloaded, what is recorded, and what runs then read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from regrow.base.errors import SourceError, UserError
from regrow.base.home import Home
from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.operations import gc
from regrow.operations.garbage import Survey, survey
from regrow.operations.gc import collect_garbage
from regrow.operations.retraining import BackfillRequest, list_backfill
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.why import explain_stages
from regrow.sources import refresh
from regrow.sources.announcements import list_unannounced, mark_announced
from regrow.sources.catalog import load_sources
from regrow.sources.versions import (
    Version,
    current_source,
    find_version,
    read_versions,
    record_version,
)
from tests.support.refreshing import (
    FIRST,
    NAME,
    SECOND,
    THIRD,
    declare,
    download,
    look,
    sha256,
)
from tests.support.upstreams import Upstream, pack


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
    assert list_unannounced(settings) == []


def test_what_a_killed_look_unpacked_is_removed_by_the_next_one(
    settings: Settings, upstream: Upstream
) -> None:
    left = settings.home.downloads / ".tmp-check-air-quality.files" / "air.csv"
    left.parent.mkdir(parents=True)
    left.write_bytes(SECOND)
    assert look(settings).outcome == "unchanged"
    assert not left.parent.exists()
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    assert look(settings).outcome == "changed"
    assert not list(settings.home.downloads.glob(".tmp-*"))


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


def test_a_source_that_goes_back_is_adopted_on_request_only(
    settings: Settings, upstream: Upstream
) -> None:
    contents = (FIRST, SECOND, THIRD)
    for content in contents[1:]:
        upstream.publish("air.zip", pack({"air.csv": content}))
        assert look(settings).outcome == "changed"
    for older in (FIRST, SECOND):  # the declared version, and a recorded one
        upstream.publish("air.zip", pack({"air.csv": older}))
        for _ in range(2):
            found = look(settings)
            assert (found.outcome, found.version) == ("not adopted", sha256(THIRD))
            assert found.found == sha256(older)
        assert "--allow-older" in found.reason
        assert [v.version for v in read_versions(settings.home, NAME)] == [
            sha256(content) for content in contents[1:]
        ]
        assert download(settings) == THIRD
    assert look(settings, allow_older=True).outcome == "changed"
    assert download(settings) == SECOND
    assert look(settings).outcome == "unchanged"


def test_gc_keeps_the_file_of_a_version_that_is_just_being_recorded(
    settings: Settings, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    surveys: list[Survey] = []

    def record_after_gc(home: Home, version: Version) -> None:
        surveys.append(survey(settings, keep=2))
        removed = collect_garbage(settings, keep=2, dry_run=False)["removed"]
        assert removed == []
        record_version(home, version)

    monkeypatch.setattr(refresh, "record_version", record_after_gc)
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    assert look(settings).outcome == "changed"
    upstream.files.clear()
    assert download(settings) == SECOND
    # A gc that surveyed before the record was written, and removes after it.
    assert [item.kind for item in surveys[0].garbage] == ["download"]
    monkeypatch.setattr(gc, "survey", lambda *_, **__: surveys[0])
    assert collect_garbage(settings, keep=2, dry_run=False)["removed"] == []
    assert (surveys[0].garbage[0].path).is_file()


def test_a_pin_that_changed_names_refresh_among_the_remedies(
    settings: Settings, upstream: Upstream
) -> None:
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    with pytest.raises(SourceError, match="changed upstream") as caught:
        download(settings)
    assert caught.value.remedies[0].startswith(f"regrow refresh --source {NAME}")
    declare(settings.project, upstream.url, extra="")
    with pytest.raises(SourceError, match="changed upstream") as caught:
        download(settings)
    assert "regrow refresh" not in str(caught.value)


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
        return [job.request.versions[NAME] for job in jobs]

    assert backfilled() == [sha256(content) for content in contents]
    short = [{NAME: sha256(content)[:8]} for content in (contents[3], FIRST)]
    assert backfilled(versions=short) == [sha256(contents[3]), sha256(FIRST)]
    with pytest.raises(UserError, match="no version 'abc'"):
        backfilled(versions=[{NAME: "abc"}])
    with pytest.raises(ValidationError, match="either files or recorded versions"):
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
    assert list_unannounced(settings) == []
    assert download(settings) == FIRST


@pytest.mark.parametrize(
    "spoil",
    [
        lambda up: up.publish("air.zip", b"no archive at all"),
        lambda up: up.publish("air.zip", pack({"other.csv": SECOND})),
        lambda up: up.publish("air.zip", pack({"air.csv": SECOND})[:-30]),
        lambda up: up.publish("air.zip", b"<!doctype html><p>log in first"),
        lambda up: up.publish("air.zip", b'{"error": "no such file"}'),
        lambda up: up.publish("air.zip", b""),
        lambda up: up.files.clear(),
    ],
    ids=["no archive", "another member", "cut", "a page for people", "JSON", "nothing", "gone"],
)
def test_what_is_not_the_source_is_not_recorded(
    spoil: Callable[[Upstream], None], settings: Settings, upstream: Upstream
) -> None:
    look(settings)
    spoil(upstream)
    with pytest.raises(SourceError) as raised:
        look(settings)
    assert f"{upstream.url}/air.zip" in str(raised.value)
    assert ".tmp-" not in str(raised.value)
    assert read_versions(settings.home, NAME) == []
    assert download_still_works(settings, upstream)
    assert not list(settings.home.downloads.glob(".tmp-*"))


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


def test_news_stay_news_until_they_were_told(settings: Settings, upstream: Upstream) -> None:
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    look(settings)
    (news,) = list_unannounced(settings)
    assert (news.source, news.version) == (NAME, sha256(SECOND))
    look(settings)
    assert len(list_unannounced(settings)) == 1
    mark_announced(settings, NAME, news.version)
    assert list_unannounced(settings) == []


def test_a_line_that_a_kill_cut_short_spoils_no_other(
    settings: Settings, upstream: Upstream
) -> None:
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    look(settings)
    with settings.home.source_versions(NAME).open("a") as stream:
        stream.write('{"source": "air-qu')
    upstream.publish("air.zip", pack({"air.csv": THIRD}))
    look(settings)
    assert [v.version for v in read_versions(settings.home, NAME)] == [
        sha256(SECOND),
        sha256(THIRD),
    ]


def test_a_version_that_nobody_knows_is_named_with_those_that_are(settings: Settings) -> None:
    source = load_sources(settings.data_dir / "sources.toml")[NAME]
    with pytest.raises(UserError, match="no version 'abc'") as caught:
        find_version(settings.home, source, "abc")
    assert sha256(FIRST)[:12] in str(caught.value)
    with pytest.raises(UserError, match="no version ''"):
        find_version(settings.home, source, "")
    with pytest.raises(UserError, match="cannot be combined with --sample"):
        make_request(get_spec(NAME), data="sample", versions={NAME: "abc"})
    with pytest.raises(UserError, match="reads no source 'babi'"):
        make_request(get_spec(NAME), versions={"babi": "abc"})


def test_a_source_that_is_not_declared_to_change_is_not_looked_at(
    settings: Settings, upstream: Upstream
) -> None:
    declare(settings.project, upstream.url, extra="")
    with pytest.raises(UserError, match="not a source that regrow refresh checks"):
        look(settings)
    source = load_sources(settings.data_dir / "sources.toml")[NAME]
    assert current_source(settings.home, source) == source
