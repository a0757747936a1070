"""Looking at sources: what is downloaded, what is recorded, and what runs then read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from regrow.base.errors import SourceError, UserError
from regrow.base.home import Home
from regrow.base.keras_settings import KerasSettings
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.cli import server
from regrow.operations import gc
from regrow.operations.garbage import Survey, survey
from regrow.operations.gc import collect_garbage
from regrow.operations.retraining import BackfillRequest, list_backfill
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.why import explain_stages
from regrow.sources import refresh
from regrow.sources.announcements import SourceCheck, list_unannounced, mark_announced
from regrow.sources.catalog import load_sources
from regrow.sources.refresh import check_source, check_sources, explain_checks, list_refreshed
from regrow.sources.retries import Retries
from regrow.sources.versions import (
    Version,
    current_source,
    find_version,
    read_versions,
    record_version,
)
from tests.support.projects import write_project
from tests.support.upstreams import Upstream, pack, serve

FIRST, SECOND, THIRD = b"a;b\n1;2\n", b"a;b\n1;2\n3;4\n", b"a;b\n5;6\n"
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
    write_project(
        folder,
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
        """,
    )


@pytest.fixture
def settings(tmp_path: Path, upstream: Upstream) -> Settings:
    declare(tmp_path / "project", upstream.url)
    return Settings(
        Home(tmp_path / "home"), None, "sqlite://", KerasSettings(), tmp_path / "project"
    )


def look(settings: Settings, *, allow_older: bool = False) -> SourceCheck:
    return check_source(NAME, settings, ignore, QUICK, allow_older=allow_older)


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


def declare_two_places(settings: Settings, upstream: Upstream) -> None:
    path = settings.data_dir / "sources.toml"
    text = path.read_text().replace(
        f'urls = ["{upstream.url}/air.zip"]',
        f'urls = ["{upstream.url}/first.zip", "{upstream.url}/air.zip"]',
    )
    path.write_text(text)


FAILING: dict[str, Callable[[Upstream], object]] = {
    "503": lambda up: up.statuses.update({"first.zip": 503}),
    "403": lambda up: up.statuses.update({"first.zip": 403}),
    "cut short": lambda up: up.cut.add("first.zip"),
    "a page for people": lambda up: up.publish("first.zip", b"<!doctype html><p>log in first"),
    "JSON": lambda up: up.publish("first.zip", b'{"error": "quota exceeded"}'),
    "nothing": lambda up: up.publish("first.zip", b""),
    "words": lambda up: up.publish("first.zip", b"Service unavailable"),
    "another archive": lambda up: up.publish("first.zip", pack({"other.csv": SECOND})),
    "half an archive": lambda up: up.publish("first.zip", pack({"air.csv": SECOND})[:-30]),
}


@pytest.mark.parametrize("fail", FAILING.values(), ids=FAILING)
def test_what_the_next_place_has_is_not_adopted_while_an_earlier_one_fails(
    fail: Callable[[Upstream], object], settings: Settings, upstream: Upstream
) -> None:
    declare_two_places(settings, upstream)
    upstream.publish("first.zip", pack({"air.csv": FIRST}))
    fail(upstream)
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    for _ in range(2):
        found = look(settings)
        assert (found.outcome, found.version) == ("not adopted", sha256(FIRST))
        assert found.found == sha256(SECOND)
        assert f"{upstream.url}/first.zip" in found.reason
        assert "did not respond" in found.reason
    assert read_versions(settings.home, NAME) == []
    assert list_unannounced(settings) == []
    # The pinned bytes of the next place are taken by a run, and are no news for refresh.
    upstream.publish("air.zip", pack({"air.csv": FIRST}))
    assert look(settings).outcome == "unchanged"
    assert download(settings) == FIRST
    # The same data in another archive are no news either.
    upstream.publish("air.zip", pack({"air.csv": FIRST}, comment=b"packed elsewhere"))
    assert look(settings).outcome == "unchanged"
    assert read_versions(settings.home, NAME) == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_place_that_has_no_such_file_has_answered(
    status: int, settings: Settings, upstream: Upstream
) -> None:
    declare_two_places(settings, upstream)
    upstream.statuses["first.zip"] = status
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    assert look(settings).outcome == "changed"


def test_a_place_that_fails_now_and_then_changes_nothing(
    settings: Settings, upstream: Upstream
) -> None:
    declare_two_places(settings, upstream)
    upstream.publish("first.zip", pack({"air.csv": FIRST}))
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    outcomes = []
    for number in range(6):
        upstream.statuses = {"first.zip": 503} if number % 2 else {}
        outcomes.append(look(settings).outcome)
    assert outcomes == ["unchanged", "not adopted"] * 3
    assert read_versions(settings.home, NAME) == []


def test_a_mirror_that_is_not_mounted_is_a_place_that_fails(
    settings: Settings, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    unmounted = dataclasses.replace(settings, mirror=str(tmp_path / "mirror"))
    assert look(unmounted).outcome == "not adopted"
    (tmp_path / "mirror").mkdir()
    assert look(unmounted).outcome == "changed"


OTHERS = """
[broken]
title = "its licence is missing"

[gone]
title = "nobody has it"
homepage = "http://127.0.0.1/x"
licence = "none"
citation = "none"
file = "gone.csv"
refresh = true
plain = {{ name = "gone.csv", urls = ["{url}/gone.csv"], sha256 = "{digest}" }}
"""


def test_every_source_is_looked_at_whatever_becomes_of_the_others(
    settings: Settings, upstream: Upstream
) -> None:
    path = settings.data_dir / "sources.toml"
    others = OTHERS.format(url=upstream.url, digest="0" * 64)
    path.write_text(others + path.read_text())
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    assert sorted(list_refreshed(settings)) == [NAME, "broken", "gone"]
    checks = list(check_sources(["gone", "broken", NAME], settings, ignore))
    assert [check.outcome for check in checks] == ["failed", "failed", "changed"]
    error = explain_checks(checks)
    assert error is not None
    assert "checked 3 sources, 2 need attention" in error.what
    assert "404" in str(error)
    assert "table [broken]" in str(error)
    assert explain_checks(checks[2:]) is None
    # The table that is wrong stops neither the runs on other sources nor gc.
    assert download(settings) == SECOND
    kept = sorted(settings.home.downloads.glob("??/*"))
    assert collect_garbage(settings, keep=0, dry_run=False)["removed"] == []
    assert sorted(settings.home.downloads.glob("??/*")) == kept


def test_the_command_prints_a_summary_and_its_exit_code_says_what_happened(
    settings: Settings,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(server, "read_environment", lambda: settings)
    monkeypatch.setattr(server, "prepare_terminal", lambda: None)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    upstream.publish("air.zip", pack({"air.csv": SECOND}))
    server.refresh()
    assert "changed" in capsys.readouterr().out

    path = settings.data_dir / "sources.toml"
    path.write_text(OTHERS.format(url=upstream.url, digest="0" * 64) + path.read_text())
    with pytest.raises(UserError, match="checked 3 sources, 2 need attention") as caught:
        server.refresh(as_json=True)
    assert caught.value.exit_code == 2
    rows = {row["source"]: row["outcome"] for row in json.loads(capsys.readouterr().out)}
    assert rows == {NAME: "unchanged", "gone": "failed", "broken": "failed"}
    with pytest.raises(UserError):
        server.refresh()
    printed = capsys.readouterr().out
    assert all(word in printed for word in (NAME, "unchanged", "gone", "broken", "failed"))


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


def test_a_folder_is_looked_at_by_its_files_times(settings: Settings, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "air").mkdir(parents=True)
    path = mirror / "air" / "air.zip"
    path.write_bytes(pack({"air.csv": FIRST}))
    here = Settings(settings.home, str(mirror), "sqlite://", KerasSettings(), settings.project)
    assert look(here).downloaded_bytes > 0
    assert look(here).downloaded_bytes == 0
    path.write_bytes(pack({"air.csv": SECOND}))
    os.utime(path, (1, 1))
    assert look(here).outcome == "changed"
    assert download(here) == SECOND


def test_a_mirror_of_links_is_treated_alike_by_run_and_refresh(
    settings: Settings, tmp_path: Path
) -> None:
    """As in checkouts of DVC and git-annex, whose files are links into a cache."""
    mirror, cached = tmp_path / "mirror", tmp_path / "cache" / "5e884898"
    (mirror / "air").mkdir(parents=True)
    cached.parent.mkdir()
    cached.write_bytes(pack({"air.csv": SECOND}))
    cached.chmod(0o444)
    (mirror / "air" / "air.zip").symlink_to(cached)
    here = dataclasses.replace(settings, mirror=str(mirror))
    assert look(here).outcome == "changed"
    assert download(here) == SECOND
    cached.chmod(0o400)
    assert "only its owner can read" in look(here).reason


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
