"""Sources that may be missing: the run goes on, says so, and takes them when they come."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regrow.base.errors import SourceError, UserError, is_transient
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline import request_sources
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import DataChoice, make_request
from regrow.sources.catalog import load_sources
from regrow.sources.credit import credit
from regrow.sources.retries import Retries
from regrow.store.entry import Entry
from tests.support.projects import write_project
from tests.support.upstreams import Upstream, serve

MAIN, EXTRA = b"main file", b"extra file"
TABLE = """
[{name}]
title = "The {name} file"
homepage = "https://example.org/"
licence = "CC0"
citation = "Someone."
{more}
file = "{name}.txt"

[{name}.plain]
name = "{name}.txt"
mirror = "{name}.txt"
urls = {urls}
sha256 = "{sha256}"
bytes = {bytes}
"""


def describe(name: str, content: bytes, more: str, *urls: str) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return TABLE.format(
        name=name, more=more, sha256=digest, bytes=len(content), urls=json.dumps(urls)
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a source that must be there and one that may be missing."""
    folder = tmp_path / "project"
    (folder / "data" / "samples").mkdir(parents=True)
    (folder / "data" / "samples" / "main.txt").write_bytes(b"sample")
    text = describe("main", MAIN, 'sample = "samples/main.txt"')
    text += describe("extra", EXTRA, 'optional = "it is made up"')
    write_project(folder, text)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "main.txt").write_bytes(MAIN)
    return folder


def run_download(
    project: Path,
    *,
    data: DataChoice = "real",
    versions: dict[str, str] | None = None,
    **sources: Path,
) -> tuple[Entry, bool]:
    """The stage as the pipeline runs it: the entry, and whether it was cached."""
    home = project.parent
    environment = {"REGROW_HOME": str(home / "home"), "REGROW_MIRROR": str(home / "mirror")}
    settings = dataclasses.replace(read_environment(environment), project=project)
    spec = dataclasses.replace(get_spec("air-quality"), sources=("main", "extra"))
    request = make_request(spec, data=data, versions=versions)
    request = request.model_copy(update={"sources": sources})
    pipeline = Pipeline(spec, request, settings)
    ref = pipeline.run_stage("download", {}, lambda *_: None)
    return pipeline.entry(ref), ref.cached


def test_a_run_goes_on_without_it_and_takes_it_later(project: Path) -> None:
    entry, _ = run_download(project)
    assert set(entry.manifest.files) == {"main.txt"}
    assert entry.facts["kind"] == "real"
    main, extra = entry.facts["sources"]
    assert (main["kind"], extra["kind"], extra["sha256"]) == ("real", "absent", "absent")
    declared = load_sources(project / "data" / "sources.toml")["extra"]
    due = credit(declared, extra["kind"], extra["sha256"])
    assert due.title == "The extra file: not available; it is made up"
    assert "the file is not in the mirror" in extra["origin"]
    assert run_download(project)[1]

    (project.parent / "mirror" / "extra.txt").write_bytes(EXTRA)
    entry, cached = run_download(project)
    assert not cached
    assert set(entry.manifest.files) == {"main.txt", "extra.txt"}
    assert [facts["kind"] for facts in entry.facts["sources"]] == ["real", "real"]
    assert run_download(project)[1]

    (project.parent / "mirror" / "extra.txt").unlink()
    assert run_download(project)[1]  # it is in the cache


def test_the_sample_needs_none_of_it(project: Path) -> None:
    (project.parent / "mirror" / "extra.txt").write_bytes(EXTRA)
    entry, _ = run_download(project, data="sample")
    assert entry.facts["kind"] == "sample"
    assert set(entry.manifest.files) == {"main.txt"}
    assert "there is no sample for it" in entry.facts["sources"][1]["origin"]


def test_a_file_of_ones_own_is_taken_or_refused(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_bytes(b"mine")
    entry, _ = run_download(project, extra=own)
    assert (entry.path / "extra.txt").read_bytes() == b"mine"
    with pytest.raises(UserError, match="cannot be used"):
        run_download(project, extra=tmp_path / "nothing.txt")


def test_what_must_be_there_still_stops_the_run(project: Path) -> None:
    (project.parent / "mirror" / "main.txt").unlink()
    with pytest.raises(SourceError, match=r"no location provided main\.txt"):
        run_download(project)


@pytest.fixture
def upstream(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """A server that should have the optional file, beside the mirror, which has not."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    quick = Retries(attempts=2, first_delay_s=0.001, max_delay_s=0.01, read_timeout_s=0.5)
    monkeypatch.setattr(request_sources, "make_retries", lambda *_, **__: quick)
    with serve() as upstream:
        path = project / "data" / "sources.toml"
        url = f"{upstream.url}/extra.txt"
        extra = describe("extra", EXTRA, 'optional = "it is made up"', url)
        path.write_text(path.read_text().partition("\n[extra]")[0] + extra)
        yield upstream


def remove_mirror(project: Path, upstream: Upstream) -> None:
    """The mirror's disk is not mounted; what must be there is in the cache by then."""
    upstream.statuses["extra.txt"] = 404
    (project.parent / "mirror").rename(project.parent / "unmounted")


PASSING: dict[str, Callable[[Path, Upstream], object]] = {
    "503": lambda _, up: up.statuses.update({"extra.txt": 503}),
    "429": lambda _, up: up.statuses.update({"extra.txt": 429}),
    "403, a proxy's perhaps": lambda _, up: up.statuses.update({"extra.txt": 403}),
    "cut short": lambda _, up: up.cut.add("extra.txt"),
    "another file": lambda _, up: up.publish("extra.txt", b"a page."),
    "cut short in the mirror": lambda p, up: (
        up.statuses.update({"extra.txt": 404}),
        (p.parent / "mirror" / "extra.txt").write_bytes(EXTRA[:4]),
    ),
    "no mirror": remove_mirror,
}


@pytest.mark.parametrize("fail", PASSING.values(), ids=PASSING)
def test_a_passing_failure_is_not_stored_as_absence(
    fail: Callable[[Path, Upstream], object], project: Path, upstream: Upstream
) -> None:
    own = project.parent / "own.txt"
    own.write_bytes(b"mine")
    run_download(project, extra=own)  # the other source is in the cache from now on
    upstream.publish("extra.txt", EXTRA)
    fail(project, upstream)
    with pytest.raises(SourceError, match=r"no location provided extra\.txt") as caught:
        run_download(project)
    assert "--data-version extra=absent: leave it out; it is made up" in str(caught.value)

    upstream.statuses.clear()
    upstream.cut.clear()
    upstream.publish("extra.txt", EXTRA)
    entry, cached = run_download(project)
    assert not cached
    assert (entry.path / "extra.txt").read_bytes() == EXTRA


@pytest.mark.parametrize("trouble", ["503", "429", "cut short"])
def test_a_passing_failure_is_worth_another_try(
    trouble: str, project: Path, upstream: Upstream
) -> None:
    upstream.publish("extra.txt", EXTRA)
    PASSING[trouble](project, upstream)
    with pytest.raises(SourceError) as caught:
        run_download(project)
    assert is_transient(caught.value)


@pytest.mark.parametrize("status", [404, 410])
def test_a_clear_no_is_stored_as_absence(status: int, project: Path, upstream: Upstream) -> None:
    upstream.statuses["extra.txt"] = status
    entry, _ = run_download(project)
    assert [facts["kind"] for facts in entry.facts["sources"]] == ["real", "absent"]
    assert str(status) in entry.facts["sources"][1]["origin"]
    assert run_download(project)[1]


def test_an_optional_source_is_left_out_on_request(project: Path, upstream: Upstream) -> None:
    upstream.statuses["extra.txt"] = 503
    entry, _ = run_download(project, versions={"extra": "absent"})
    assert set(entry.manifest.files) == {"main.txt"}
    assert "left out on request" in entry.facts["sources"][1]["origin"]

    upstream.statuses.clear()
    upstream.publish("extra.txt", EXTRA)
    assert run_download(project, versions={"extra": "absent"})[1]
    entry, _ = run_download(project)
    assert set(entry.manifest.files) == {"main.txt", "extra.txt"}
    assert run_download(project, versions={"extra": "absent"})[1]
    with pytest.raises(UserError, match="main has no version 'absent'"):
        run_download(project, versions={"main": "absent"})


def test_where_the_sample_will_do_a_passing_failure_leads_to_it(
    project: Path, upstream: Upstream
) -> None:
    upstream.statuses["extra.txt"] = 503
    entry, _ = run_download(project, data="real-or-sample")
    assert entry.facts["kind"] == "sample"
    upstream.statuses.clear()
    upstream.publish("extra.txt", EXTRA)
    entry, _ = run_download(project, data="real-or-sample")
    assert [facts["kind"] for facts in entry.facts["sources"]] == ["real", "real"]
