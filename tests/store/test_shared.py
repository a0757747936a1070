"""The shared store, in a folder and on a real S3 server: whole or not at all, digests checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import Unreachable, UserError, is_transient
from regrow.base.home import Home
from regrow.base.secrets import hide_secrets
from regrow.base.settings import read_environment
from regrow.store.entry import MANIFEST, Entry
from regrow.store.fingerprint import Components
from regrow.store.shared import SharedStore
from regrow.store.signatures import NotSigned
from regrow.store.store import Store, open_store
from tests.store.test_store import make_one
from tests.support.servers import S3_ACCESS, free_port, run_s3

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


def machine(tmp_path: Path, name: str, url: str, key: str | None = None) -> Store:
    return Store(Home(tmp_path / name), SharedStore(url, key))


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
    build(Store(Home(tmp_path / "here")))
    build(machine(tmp_path, "here", url), never)
    assert build(machine(tmp_path, "there", url), never)[1]


DAMAGES = ["other content", "missing file", "manifest", "leads out", "edited", "of another stage"]


@pytest.mark.parametrize("damage", DAMAGES)
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
    elif damage == "edited":
        manifest = json.loads(shared.read(f"{place}/{MANIFEST}") or b"")
        manifest["facts"]["rows"] = 4
        shared.write(f"{place}/{MANIFEST}", json.dumps(manifest).encode())
    elif damage == "of another stage":
        Store(Home(tmp_path / "other"), shared).build("other", "train", "f1", COMPONENTS, make_one)
        shared.write(f"{place}/{MANIFEST}", shared.read(f"store/other/train/f1/{MANIFEST}") or b"")
    else:
        manifest = json.loads(shared.read(f"{place}/{MANIFEST}") or b"")
        manifest["files"]["../../../../stolen.txt"] = manifest["files"]["table.txt"]
        shared.write(f"{place}/{MANIFEST}", json.dumps(manifest).encode())
    _entry, found = build(machine(tmp_path, "there", url))
    assert not found
    assert "removed a damaged entry in the shared store" in caplog.text
    assert build(machine(tmp_path, "third", url), never)[1]
    assert not list(tmp_path.rglob("stolen.txt"))


KEY = "0123456789abcdef-key"


@pytest.mark.parametrize("signed_with", [None, "another key that is long"])
def test_what_is_not_signed_with_the_key_is_made_anew(
    signed_with: str | None, tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    build(machine(tmp_path, "stranger", url, signed_with))
    assert machine(tmp_path, "here", url, KEY).find("model", "clean", "f1") is None
    assert not build(machine(tmp_path, "here", url, KEY))[1]
    assert "is not signed with this machine's key" in caplog.text
    assert ("a wrong signature" if signed_with else "no signature") in caplog.text
    assert build(machine(tmp_path, "there", url, KEY), never)[1]
    # A machine without a key reads what others signed.
    assert build(machine(tmp_path, "without", url), never)[1]
    assert KEY not in caplog.text


def test_a_signature_holds_for_its_place_and_content_alone(tmp_path: Path, url: str) -> None:
    store = machine(tmp_path, "here", url, KEY)
    build(store)
    store.build("model", "clean", "f2", COMPONENTS, make_one)
    shared, one = SharedStore(url, KEY), f"store/model/clean/f1/{MANIFEST}"
    signed = json.loads(shared.read(one) or b"")
    for changed in (
        {**signed, "seconds": 5.0},
        {**signed, "more": 1},
        json.loads(shared.read(f"store/model/clean/f2/{MANIFEST}") or b""),
    ):
        shared.write(one, json.dumps(changed).encode())
        with pytest.raises(NotSigned):
            shared.read_signed(one)
        assert machine(tmp_path, "there", url, KEY).find("model", "clean", "f1") is None
    # What this machine has already replaces what somebody else wrote.
    assert build(store, never)[1]
    assert build(machine(tmp_path, "third", url, KEY), never)[1]


def test_a_short_key_is_refused_and_no_key_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGROW_STORE_KEY", KEY)
    assert hide_secrets(f"failed with {KEY}") == "failed with [hidden]"
    values = {"REGROW_HOME": str(tmp_path), "REGROW_SHARED_STORE": f"file://{tmp_path}/shared"}
    settings = read_environment({**values, "REGROW_STORE_KEY": KEY})
    assert KEY not in repr(settings)
    assert open_store(settings).shared is not None
    with pytest.raises(UserError, match="too short") as caught:
        open_store(read_environment({**values, "REGROW_STORE_KEY": "sesame"}))
    assert "sesame" not in str(caught.value)


def test_a_reference_of_a_worker_without_the_key_is_refused(tmp_path: Path) -> None:
    from regrow.prefect.remote_stage import StageResult, take_result, write_result

    values = {"REGROW_HOME": str(tmp_path), "REGROW_SHARED_STORE": f"file://{tmp_path}/shared"}
    here = read_environment({**values, "REGROW_STORE_KEY": KEY})
    write_result(here, "one", StageResult(error="text"))
    assert take_result(here, "one") == StageResult(error="text")
    assert take_result(here, "one") is None
    write_result(read_environment(values), "two", StageResult(error="text"))
    with pytest.raises(NotSigned, match="is not signed") as caught:
        take_result(here, "two")
    assert "set the same REGROW_STORE_KEY on every machine" in str(caught.value)


def test_doctor_warns_of_a_shared_store_whose_entries_are_not_signed(tmp_path: Path) -> None:
    from regrow.cli.doctor import _shared_store

    values = {"REGROW_HOME": str(tmp_path), "REGROW_SHARED_STORE": f"file://{tmp_path}/shared"}
    check = _shared_store(read_environment(values))
    assert check["level"] == "warn"
    assert "only your machines can write there" in check["found"]
    check = _shared_store(read_environment({**values, "REGROW_STORE_KEY": KEY}))
    assert (check["level"], "signed" in check["found"]) == ("ok", True)
    assert KEY not in check["found"]


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
    build(Store(Home(tmp_path / "here")))
    with pytest.raises(Unreachable, match="does not respond") as caught:
        build(machine(tmp_path, "here", away), never)
    assert is_transient(caught.value)
    assert Store(Home(tmp_path / "here")).find("model", "clean", "f1") is not None


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/x", "no address", "ftp://host/x"])
def test_an_address_that_cannot_be_is_refused(url: str, tmp_path: Path) -> None:
    settings = read_environment({"REGROW_HOME": str(tmp_path), "REGROW_SHARED_STORE": url})
    with pytest.raises(UserError) as caught:
        open_store(settings)
    assert "REGROW_SHARED_STORE" in str(caught.value)
    assert "secret" not in str(caught.value).replace("AWS_SECRET", "")


def test_the_container_in_an_address_of_azure_is_no_credential() -> None:
    account = "account.dfs.core.windows.net/regrow"
    assert SharedStore(f"abfs://container@{account}").url == f"abfs://container@{account}"
    with pytest.raises(UserError, match="the address contains credentials"):
        SharedStore(f"abfs://container:key@{account}")
