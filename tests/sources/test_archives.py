"""Archives: only what is wanted comes out, and nothing of a hostile or damaged one."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from regrow.base.errors import DataError
from regrow.sources.archives import CopiedFile, MemberInfo, extract_members
from regrow.sources.packed import archive_kind

CONTENT = b"Date;Time;CO(GT)\r\n10/03/2004;18.00.00;2,6\r\n" * 500
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PINNED = {"data.csv": MemberInfo(DIGEST, len(CONTENT))}

Maker = Callable[[Path, dict[str, bytes]], Path]


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for name, content in members.items():
            container.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as container:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            container.addfile(info, io.BytesIO(content))
    return path


def make_tar_gz(path: Path, members: dict[str, bytes]) -> Path:
    return make_tar(path, members, "w:gz")


@pytest.fixture(params=[make_zip, make_tar, make_tar_gz], ids=["zip", "tar", "tar.gz"])
def make(request: pytest.FixtureRequest) -> Maker:
    maker: Maker = request.param
    return maker


def test_takes_only_wanted_members_with_their_folders(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path / "a", {"x/data.csv": CONTENT, "other.txt": b"left in"})

    found = extract_members(archive, {"x/data.csv": PINNED["data.csv"]}, tmp_path / "out")

    assert found == {"x/data.csv": CopiedFile(DIGEST, len(CONTENT))}
    assert (tmp_path / "out/x/data.csv").read_bytes() == CONTENT
    assert files_in(tmp_path / "out") == ["x/data.csv"]


def test_leading_dot_of_tar_members_is_ignored(tmp_path: Path) -> None:
    archive = make_tar_gz(tmp_path / "a", {"./data.csv": CONTENT})

    extract_members(archive, PINNED, tmp_path / "out")

    assert files_in(tmp_path / "out") == ["data.csv"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "a path outside the folder"),
        ("x/../../evil.txt", "a path outside the folder"),
        ("..\\evil.txt", "a path outside the folder"),
        ("/etc/evil.txt", "absolute path"),
        ("\\evil.txt", "absolute path"),
        ("C:\\evil.txt", "drive letter"),
        ("c:evil.txt", "drive letter"),
    ],
)
def test_refuses_whole_archive_for_one_escaping_member(
    make: Maker, tmp_path: Path, name: str, reason: str
) -> None:
    # The escaping member is not wanted, and comes after the wanted one.
    archive = make(tmp_path / "a", {"data.csv": CONTENT, name: b"evil"})

    with pytest.raises(DataError) as caught:
        extract_members(archive, PINNED, tmp_path / "deep/er/out")

    assert reason in str(caught.value)
    assert str(archive) in str(caught.value)
    assert repr(name) in str(caught.value)
    assert files_in(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_refuses_links_and_devices_in_tar(tmp_path: Path, kind: bytes) -> None:
    archive = make_tar(tmp_path / "a.tar", {"data.csv": CONTENT})
    with tarfile.open(archive, "a") as container:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        container.addfile(info)

    with pytest.raises(DataError, match="link or a device"):
        extract_members(archive, PINNED, tmp_path / "out")
    assert files_in(tmp_path) == ["a.tar"]


def test_refuses_symlink_in_zip_even_as_the_wanted_member(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("data.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as container:
        container.writestr(info, "/etc/passwd")

    with pytest.raises(DataError, match="link or a device"):
        extract_members(tmp_path / "a.zip", {"data.csv": MemberInfo()}, tmp_path / "out")
    assert files_in(tmp_path) == ["a.zip"]


def test_refuses_a_wanted_member_that_is_there_twice(make: Maker, tmp_path: Path) -> None:
    archive = tmp_path / "a"
    if make is make_zip:
        make(archive, {"data.csv": CONTENT})
        with (
            zipfile.ZipFile(archive, "a") as container,
            pytest.warns(UserWarning, match="Duplicate name"),
        ):
            container.writestr("data.csv", b"second")
    else:
        make_tar(archive, {"data.csv": CONTENT, "./data.csv": b"second"})

    with pytest.raises(DataError, match="duplicate member"):
        extract_members(archive, {"data.csv": MemberInfo()}, tmp_path / "out")
    assert files_in(tmp_path) == ["a"]


def test_stops_a_bomb_at_the_declared_size(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path / "a", {"data.csv": bytes(50 * 2**20)})

    with pytest.raises(DataError, match=f"more than {len(CONTENT)} bytes"):
        extract_members(archive, PINNED, tmp_path / "out")
    assert files_in(tmp_path) == ["a"]


def test_stops_a_bomb_of_unknown_size_at_the_bound(make: Maker, tmp_path: Path) -> None:
    members = {"a.csv": bytes(6 * 2**20), "b.csv": bytes(6 * 2**20)}
    archive = make(tmp_path / "a", members)
    wanted = dict.fromkeys(members, MemberInfo())

    with pytest.raises(DataError, match="the unpacked archive is too large"):
        extract_members(archive, wanted, tmp_path / "out", max_bytes=10 * 2**20)
    assert files_in(tmp_path) == ["a"]

    assert set(extract_members(archive, wanted, tmp_path / "out")) == set(members)


def test_counts_skipped_members_of_a_tar(tmp_path: Path) -> None:
    archive = make_tar_gz(tmp_path / "a", {"huge": bytes(20 * 2**20), "data.csv": CONTENT})

    with pytest.raises(DataError, match="the unpacked archive is too large"):
        extract_members(archive, PINNED, tmp_path / "out", max_bytes=10 * 2**20)


def test_does_not_believe_the_size_in_a_zip_header(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"data.csv": bytes(2**20)})
    # The size stands in the local header and in the directory; both now claim 10 bytes.
    archive.write_bytes(
        archive.read_bytes().replace((2**20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    )

    with pytest.raises(DataError, match="damaged"):
        extract_members(archive, {"data.csv": MemberInfo()}, tmp_path / "out")
    assert files_in(tmp_path) == ["a.zip"]


def test_wrong_member_digest_names_both(make: Maker, tmp_path: Path) -> None:
    other = b"x" + CONTENT[1:]
    archive = make(tmp_path / "a", {"data.csv": other})

    with pytest.raises(DataError) as caught:
        extract_members(archive, PINNED, tmp_path / "out")

    assert DIGEST in str(caught.value)
    assert hashlib.sha256(other).hexdigest() in str(caught.value)
    assert files_in(tmp_path) == ["a"]


def test_missing_member_lists_what_is_there(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path / "a", {"AirQualityUCI.xlsx": b"..."})

    with pytest.raises(DataError) as caught:
        extract_members(archive, PINNED, tmp_path / "out")

    assert caught.value.received == "AirQualityUCI.xlsx"
    assert caught.value.expected == "data.csv"


def test_encrypted_zip_is_named(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"data.csv": CONTENT})
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # general purpose flag, local header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and directory
    archive.write_bytes(content)

    with pytest.raises(DataError, match="encrypted"):
        extract_members(archive, PINNED, tmp_path / "out")


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.98])
def test_truncated_archive(make: Maker, tmp_path: Path, keep: float) -> None:
    whole = make(tmp_path / "whole", {"data.csv": CONTENT}).read_bytes()
    archive = tmp_path / "cut"
    # Two thirds of an uncompressed tar are padding: there, a cut must fall into the member.
    end = len(CONTENT) if make is make_tar else len(whole)
    archive.write_bytes(whole[: int(end * keep)])

    with pytest.raises(DataError, match="damaged or incomplete"):
        extract_members(archive, PINNED, tmp_path / "out")
    assert files_in(tmp_path) == ["cut", "whole"]


@pytest.mark.parametrize("maker", [make_zip, make_tar_gz])
def test_flipped_bytes(maker: Maker, tmp_path: Path) -> None:
    archive = maker(tmp_path / "a", {"data.csv": CONTENT})
    content = bytearray(archive.read_bytes())
    content[60:70] = bytes(10)
    archive.write_bytes(content)

    with pytest.raises(
        DataError, match=r"damaged or incomplete|digest of an archive member differs"
    ):
        extract_members(archive, PINNED, tmp_path / "out")


def test_plain_file_is_no_archive(tmp_path: Path) -> None:
    plain = tmp_path / "data.csv"
    plain.write_bytes(CONTENT)

    assert archive_kind(plain) is None
    with pytest.raises(DataError, match="neither a zip nor a tar"):
        extract_members(plain, PINNED, tmp_path / "out")


def files_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
