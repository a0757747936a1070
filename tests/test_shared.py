"""The shared store, in a folder and on a real S3 server: whole or not at all, digests checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.engine.config import read_environment
from regrow.engine.errors import Unreachable, UserError, is_transient
from regrow.engine.fingerprint import Components
from regrow.engine.shared import SharedStore, open_store
from regrow.engine.store import MANIFEST, Entry, Store
from tests.servers import S3_ACCESS, free_port, run_s3
from tests.test_store import make_one

COMPONENTS: Components = {"code": {}, "config": {}, "inputs": {}, "libraries": {}}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "folder":
        return f"file://{tmp_path / 'shared'}"
    for name, value in S3_ACCESS.items():
        monkeypatch.setenv(name, value)
    address: str = request.getfixturevalue("s3")
    return address.format(tmp_path.name)


def machine(tmp_path: Path, name: str, url: str) -> Store:
    return Store(tmp_path / name, SharedStore(url))


def build(store: Store, make: Any = make_one) -> tuple[Entry, bool]:
    return store.build("model", "clean", "f1", COMPONENTS, make)


def never(_out: Path, _scratch: Path) -> dict[str, Any]:
    raise AssertionError("it was to be found")


def test_what_one_machine_made_another_finds(tmp_path: Path, url: str) -> None:
    made, found = build(machine(tmp_path, "here", url))
    assert not found
    there, found = build(machine(tmp_path, "there", url), never)
    assert found
    assert there.manifest == made.manifest
    assert there.file("figures/one.txt").read_text() == "figure"
    # By its reference alone, as a stage's inputs are found.
    third = machine(tmp_path, "third", url).find("model", "clean", "f1")
    assert third is not None
    assert third.file("table.txt").read_text() == "content"
    assert machine(tmp_path, "third", url).find("model", "clean", "f2") is None
    left = [path.name for path in tmp_path.rglob(".building-*")]
    assert left == []


def test_what_was_made_before_there_was_a_shared_store_is_left_there(
    tmp_path: Path, url: str
) -> None:
    build(Store(tmp_path / "here"))
    build(machine(tmp_path, "here", url), never)
    assert build(machine(tmp_path, "there", url), never)[1]


@pytest.mark.parametrize("damage", ["other content", "missing file", "manifest", "leads out"])
def test_what_is_damaged_there_is_made_again_and_left_whole(
    damage: str, tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    build(machine(tmp_path, "here", url))
    shared, place = SharedStore(url), "store/model/clean/f1"
    if damage == "other content":
        shared.write(f"{place}/table.txt", b"c0ntent")
    elif damage == "missing file":
        shared.remove(f"{place}/figures/one.txt")
    elif damage == "manifest":
        shared.write(f"{place}/{MANIFEST}", b'{"model": "mod')
    else:
        manifest = json.loads(shared.read(f"{place}/{MANIFEST}") or b"")
        manifest["files"]["../../../../stolen.txt"] = manifest["files"]["table.txt"]
        shared.write(f"{place}/{MANIFEST}", json.dumps(manifest).encode())
    _entry, found = build(machine(tmp_path, "there", url))
    assert not found
    assert "is damaged and is removed" in caplog.text
    assert build(machine(tmp_path, "third", url), never)[1]
    assert not list(tmp_path.rglob("stolen.txt"))


def test_an_entry_without_its_manifest_is_none(tmp_path: Path, url: str) -> None:
    """What a kill leaves in the middle of an upload."""
    build(machine(tmp_path, "here", url))
    SharedStore(url).remove(f"store/model/clean/f1/{MANIFEST}")
    assert machine(tmp_path, "there", url).find("model", "clean", "f1") is None
    build(machine(tmp_path, "here", url), never)
    assert build(machine(tmp_path, "there", url), never)[1]


def test_a_storage_that_is_away_is_worth_another_try_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in S3_ACCESS.items():
        monkeypatch.setenv(name, value)
    away = f"s3://bucket/x?endpoint_override=127.0.0.1:{free_port()}&scheme=http&region=us-east-1"
    build(Store(tmp_path / "here"))
    with pytest.raises(Unreachable, match="does not answer") as caught:
        build(machine(tmp_path, "here", away), never)
    assert is_transient(caught.value)
    assert Store(tmp_path / "here").find("model", "clean", "f1") is not None


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/x", "no address", "ftp://host/x"])
def test_an_address_that_cannot_be_is_refused(url: str, tmp_path: Path) -> None:
    settings = read_environment({"REGROW_HOME": str(tmp_path), "REGROW_SHARED_STORE": url})
    with pytest.raises(UserError) as caught:
        open_store(settings)
    assert "REGROW_SHARED_STORE" in str(caught.value)
    assert "secret" not in str(caught.value).replace("AWS_SECRET", "")
