"""The shipped sample and files of one's own in place of a source."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import DataError, UserError
from regrow.sources.credit import credit
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


@pytest.mark.parametrize("make", [pack, make_tar])
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


@pytest.mark.parametrize("wrap", [bytes, lambda content: pack({"readings.csv": content})])
def test_sample_given_as_a_local_file_stays_a_sample(tmp_path: Path, wrap: Any) -> None:
    (tmp_path / "data/samples").mkdir(parents=True)
    (tmp_path / "data/samples/readings.csv").write_bytes(b"sample")
    local = tmp_path / "mine"
    local.write_bytes(wrap(b"sample"))

    assert get(declare(), tmp_path, local=local)["kind"] == "sample"

    local.write_bytes(wrap(b"sample, changed"))
    assert get(declare(), tmp_path, local=local)["kind"] == "local"


def test_local_archive_that_escapes_is_refused(tmp_path: Path) -> None:
    local = tmp_path / "mine.zip"
    local.write_bytes(pack({"readings.csv": CSV, "../evil": b""}))

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
