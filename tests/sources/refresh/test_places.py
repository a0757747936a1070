"""Where sources are looked at, and what becomes of them when a place fails."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.base.keras_settings import KerasSettings
from regrow.base.progress import ignore
from regrow.base.settings import Settings
from regrow.cli import server
from regrow.operations.gc import collect_garbage
from regrow.sources.announcements import list_unannounced
from regrow.sources.refresh import check_sources, explain_checks, list_refreshed
from regrow.sources.versions import (
    read_versions,
)
from tests.support.refreshing import (
    FIRST,
    NAME,
    SECOND,
    download,
    look,
    sha256,
)
from tests.support.upstreams import Upstream, pack


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
