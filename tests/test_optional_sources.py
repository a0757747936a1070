"""Sources that may be missing: the run goes on, says so, and takes them when they come."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from regrow.engine.config import make_request, read_environment
from regrow.engine.errors import SourceError, UserError
from regrow.engine.pipeline import Pipeline
from regrow.engine.store import Entry
from regrow.models import get_spec

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
sha256 = "{sha256}"
bytes = {bytes}
"""


def describe(name: str, content: bytes, more: str) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return TABLE.format(name=name, more=more, sha256=digest, bytes=len(content))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a source that must be there and one that may be missing."""
    folder = tmp_path / "project"
    (folder / "data" / "samples").mkdir(parents=True)
    (folder / "data" / "samples" / "main.txt").write_bytes(b"sample")
    text = describe("main", MAIN, 'sample = "samples/main.txt"')
    text += describe("extra", EXTRA, 'optional = "it is made up"')
    (folder / "data" / "sources.toml").write_text(text)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "main.txt").write_bytes(MAIN)
    return folder


def run_download(project: Path, *, sample: bool = False, **sources: Path) -> tuple[Entry, bool]:
    """The stage as the pipeline runs it: the entry, and whether it was cached."""
    home = project.parent
    environment = {"REGROW_HOME": str(home / "home"), "REGROW_MIRROR": str(home / "mirror")}
    settings = dataclasses.replace(read_environment(environment), project=project)
    spec = dataclasses.replace(get_spec("air-quality"), sources=("main", "extra"))
    request = make_request(spec, data="sample" if sample else "real")
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
    assert extra["title"] == "The extra file: not there, it is made up"
    assert "the mirror has no such file" in extra["origin"]
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
    entry, _ = run_download(project, sample=True)
    assert entry.facts["kind"] == "sample"
    assert set(entry.manifest.files) == {"main.txt"}
    assert "no sample stands in for it" in entry.facts["sources"][1]["origin"]


def test_a_file_of_ones_own_is_taken_or_refused(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_bytes(b"mine")
    entry, _ = run_download(project, extra=own)
    assert (entry.path / "extra.txt").read_bytes() == b"mine"
    with pytest.raises(UserError, match="cannot be used"):
        run_download(project, extra=tmp_path / "nothing.txt")


def test_what_must_be_there_still_stops_the_run(project: Path) -> None:
    (project.parent / "mirror" / "main.txt").unlink()
    with pytest.raises(SourceError, match=r"no place gave main\.txt"):
        run_download(project)
