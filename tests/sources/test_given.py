"""Files of a person's own: packed, in archives of every shape, or of another kind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import DataError
from regrow.sources.given import copy_given, match_members
from regrow.sources.source import Source
from tests.support.fetching import CSV, declare, make_tar, sha256
from tests.support.upstreams import pack

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def declare_plain(file: str) -> Source:
    return Source(
        name="vectors",
        title="t",
        homepage="https://example.org/",
        licence="l",
        citation="c",
        file=file,
        plain={"name": file},
    )


def declare_several() -> Source:
    members = [{"path": f"data/{name}.txt", "sha256": sha256(b"")} for name in "ab"]
    archive: dict[str, Any] = {**declare().archive.model_dump(), "members": members}  # type: ignore[union-attr]
    return declare(file="data", archive=archive)


def give(source: Source, folder: Path, name: str, content: bytes) -> dict[str, bytes]:
    """What is copied when this file is given, by path."""
    (folder / name).write_bytes(content)
    out = folder / "out"
    copied = copy_given(source, folder / name, out)
    found = {path: (out / path).read_bytes() for path in copied}
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == set(found)
    for path, content in found.items():
        assert copied[path].sha256 == sha256(content)
    return found


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_file_is_unpacked(tmp_path: Path, packing: str) -> None:
    packed = PACKINGS[packing](CSV)
    assert give(declare(), tmp_path, f"my.csv.{packing}", packed) == {"readings.csv": CSV}
    (tmp_path / "plain").mkdir()
    found = give(declare_plain("vectors.txt"), tmp_path / "plain", f"v.{packing}", packed)
    assert found == {"vectors.txt": CSV}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_tar_is_an_archive(tmp_path: Path, packing: str) -> None:
    packed = PACKINGS[packing](make_tar({"readings.csv": CSV}, "w"))
    assert give(declare(), tmp_path, f"my.tar.{packing}", packed) == {"readings.csv": CSV}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_file_that_is_cut_short_is_refused(tmp_path: Path, packing: str) -> None:
    with pytest.raises(DataError, match="damaged or incomplete") as raised:
        give(declare(), tmp_path, "my.csv", PACKINGS[packing](CSV)[:-30])
    assert str(tmp_path / "my.csv") in str(raised.value)


def test_what_is_packed_upstream_stays_packed(tmp_path: Path) -> None:
    packed = gzip.compress(b"1,2\n")
    found = give(declare_plain("digits.csv.gz"), tmp_path, "mine.csv.gz", packed)
    assert found == {"digits.csv.gz": packed}


@pytest.mark.parametrize("packing", ["bz2", "xz"])
def test_what_is_packed_otherwise_than_upstream_is_unpacked(tmp_path: Path, packing: str) -> None:
    packed = PACKINGS[packing](b"1,2\n")
    found = give(declare_plain("digits.csv.gz"), tmp_path, f"mine.csv.{packing}", packed)
    assert found == {"digits.csv.gz": b"1,2\n"}


@pytest.mark.parametrize(
    "names",
    [
        ["readings.csv", "other.csv"],
        ["my folder/readings.csv", "my folder/notes.txt"],
        ["mine.csv", "notes.txt", "__MACOSX/._mine.csv", "x/.DS_Store"],
        ["mine.dat"],
        ["./readings.csv", "Thumbs.db"],
    ],
)
def test_the_matching_member_of_an_archive_is_taken(tmp_path: Path, names: list[str]) -> None:
    members = dict.fromkeys(names, b"not wanted") | {names[0]: CSV}
    assert give(declare(), tmp_path, "my.zip", pack(members)) == {"readings.csv": CSV}
    (tmp_path / "tar").mkdir()
    assert give(declare(), tmp_path / "tar", "my.tgz", make_tar(members)) == {"readings.csv": CSV}


def test_a_plain_source_is_taken_out_of_an_archive_too(tmp_path: Path) -> None:
    members = {"vectors.100d.txt": b"no", "vectors.50d.txt": b"yes"}
    found = give(declare_plain("vectors.50d.txt"), tmp_path, "all.zip", pack(members))
    assert found == {"vectors.50d.txt": b"yes"}


def test_a_source_without_an_ending_keeps_its_zip(tmp_path: Path) -> None:
    pictures = pack({"a.png": b"a"})
    assert give(declare_plain("photo"), tmp_path, "some.zip", pictures) == {"photo": pictures}


def test_an_archive_in_an_archive_is_opened(tmp_path: Path) -> None:
    inner = make_tar({"readings.csv": CSV})
    content = pack({"README.txt": b"about", "readings.tar.gz": inner})
    # The note would be the only file that is no archive, and is not taken for the data.
    assert give(declare(), tmp_path, "my.zip", content) == {"readings.csv": CSV}


def test_an_error_in_an_inner_archive_names_the_persons_file(tmp_path: Path) -> None:
    content = pack({"inner.tar.gz": make_tar({"c.txt": b"c"})})
    with pytest.raises(DataError, match="no file that can be used") as raised:
        give(declare_several(), tmp_path, "my.zip", content)
    assert raised.value.where == f"{tmp_path / 'my.zip'}, member inner.tar.gz"


def test_several_files_come_from_any_folder(tmp_path: Path) -> None:
    for names in (["data/a.txt", "data/b.txt"], ["x-main/data/a.txt", "x-main/data/b.txt"]):
        content = pack(dict(zip(names, (b"a", b"b"), strict=True)))
        found = give(declare_several(), tmp_path, "my.zip", content)
        assert found == {"data/a.txt": b"a", "data/b.txt": b"b"}
    assert match_members(["en/q.txt", "en-10k/q.txt"], ["en-10k/q.txt"]) == {
        "en-10k/q.txt": "en-10k/q.txt"
    }


def test_what_does_not_match_is_named_with_what_is_there(tmp_path: Path) -> None:
    members = {f"{number}.csv": b"x" for number in range(500)}
    with pytest.raises(DataError, match="no file that can be used for readings") as raised:
        give(declare(), tmp_path, "my.zip", pack(members))
    text = str(raised.value)
    assert "and 492 more" in text
    assert "unpack it and pass readings.csv" in text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "7z"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(40), "RAR"),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "Zstandard"),
    ],
)
def test_what_is_not_unpacked_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    with pytest.raises(DataError, match=kind) as raised:
        give(declare(), tmp_path, "my.csv", content)
    assert "unpack it" in str(raised.value)


def test_a_workbook_is_no_archive(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    found = give(declare(), tmp_path, "my.xlsx", buffer.getvalue())
    assert found == {"readings.csv": buffer.getvalue()}  # the model's reader says what it is
    with pytest.raises(DataError, match="consists of several files") as raised:
        give(declare_several(), tmp_path, "my.xlsx", buffer.getvalue())
    assert "an Excel workbook" in str(raised.value)
