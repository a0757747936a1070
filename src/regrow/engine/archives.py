"""Takes the wanted members out of zip and tar files that may be hostile or damaged."""

from __future__ import annotations

import gzip
import hashlib
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol, cast

from regrow.engine.errors import DataError

MAX_BYTES = 4 * 2**30
MAX_MEMBERS = 100_000
CHUNK_BYTES = 2**20

_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    struct.error,
    NotImplementedError,
    UnicodeError,
)


class Reader(Protocol):
    """Anything with bytes to read."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True)
class MemberInfo:
    """A file's digest and size; None where they are not known beforehand."""

    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class CopiedFile:
    """The digest and size of a file that was written."""

    sha256: str
    bytes: int


class TooLarge(Exception):
    """More bytes came than are allowed."""


def archive_kind(path: Path) -> Literal["zip", "tar"] | None:
    """Tells from its first bytes whether a file is a zip or a tar (gzipped or not), or neither."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "tar" if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar" else None


def explain_unsafe(name: str) -> str | None:
    """Why a member's name must not become a path, or None if it is harmless."""
    path = name.replace("\\", "/")
    if not path.strip("/") or "\0" in path:
        return "an empty name" if "\0" not in path else "a NUL in its name"
    if path.startswith("/"):
        return "an absolute path"
    if re.match(r"[A-Za-z]:", path):
        return "a drive letter"
    return "a path that leaves the folder" if ".." in path.split("/") else None


def copy_stream(reader: Reader, target: Path, *, limit_bytes: int | None = None) -> CopiedFile:
    """Writes all that `reader` gives to `target`, hashing and counting it.

    Raises:
        TooLarge: more than `limit_bytes` came.
    """
    digest, done = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as stream:
        while chunk := reader.read(CHUNK_BYTES):
            done += len(chunk)
            if limit_bytes is not None and done > limit_bytes:
                raise TooLarge
            digest.update(chunk)
            stream.write(chunk)
    return CopiedFile(digest.hexdigest(), done)


def extract_members(
    archive: Path,
    members: Mapping[str, MemberInfo],
    out: Path,
    *,
    partial: bool = False,
    max_bytes: int = MAX_BYTES,
) -> dict[str, CopiedFile]:
    """Writes the wanted members of a zip or tar(.gz) to `out`, all of them or none.

    Sizes are counted while bytes come out; what the archive says of itself is not believed. The
    archive is refused as a whole if any member, wanted or not, has a path that escapes or is a link
    or a device.

    Args:
        archive: the file to open.
        members: the wanted members by path, with the digest and size that they must have.
        out: where they are written, under their paths.
        partial: whether one wanted member is enough; the others may be missing.
        max_bytes: how much may be unpacked in all; for a tar this counts all of it.

    Returns:
        Digest and size of each member written.

    Raises:
        DataError: not an archive, damaged, encrypted, unsafe, too large, or a member is missing or
            has another digest.
    """
    kind = archive_kind(archive)
    if kind is None:
        raise DataError(
            "this is neither a zip nor a tar archive",
            where=str(archive),
            expected=_listing(members),
        )
    out.mkdir(parents=True, exist_ok=True)
    unpack = _unpack_zip if kind == "zip" else _unpack_tar
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=out) as folder:
        try:
            found, names = unpack(archive, members, Path(folder), max_bytes)
        except _DAMAGE as error:
            raise DataError(
                "the archive is damaged or cut short",
                where=str(archive),
                received=f"{type(error).__name__}: {error}",
                remedies=["fetch it again"],
            ) from error
        missing = sorted(set(members) - set(found))
        if missing and not (partial and found):
            raise DataError(
                "the archive lacks a member",
                where=str(archive),
                received=_listing(names),
                expected=_listing(missing),
            )
        for name in found:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).replace(out / name)
    return found


_Unpacked = tuple[dict[str, CopiedFile], list[str]]


def _unpack_zip(
    archive: Path, members: Mapping[str, MemberInfo], folder: Path, max_bytes: int
) -> _Unpacked:
    found: dict[str, CopiedFile] = {}
    with zipfile.ZipFile(archive) as container:
        infos = container.infolist()
        _check_count(archive, len(infos))
        for info in infos:
            form = stat.S_IFMT(info.external_attr >> 16)
            regular = form in (0, stat.S_IFREG, stat.S_IFDIR)
            _check_safe(archive, info.orig_filename, regular)
            _check_safe(archive, info.filename, regular)
        for info in infos:
            if info.filename not in members or info.is_dir():
                continue
            if info.flag_bits & 0x1:
                raise _refuse(archive, info.filename, "encrypted; regrow has no password for it")
            with container.open(info) as reader:
                _take(archive, info.filename, reader, members, folder, found, max_bytes)
    return found, [info.filename for info in infos]


def _unpack_tar(
    archive: Path, members: Mapping[str, MemberInfo], folder: Path, max_bytes: int
) -> _Unpacked:
    found: dict[str, CopiedFile] = {}
    names: list[str] = []
    # One pass in stream mode: skipped members are unpacked too, so that the bound holds for them.
    with _open_counted(archive, max_bytes) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as container:
            for info in container:
                names.append(info.name)
                _check_count(archive, len(names))
                _check_safe(archive, info.name, info.isreg() or info.isdir())
                reader = container.extractfile(info) if info.isreg() else None
                if reader is not None and info.name.removeprefix("./") in members:
                    name = info.name.removeprefix("./")
                    _take(archive, name, reader, members, folder, found, max_bytes)
        while stream.read(CHUNK_BYTES):
            pass  # gzip checks its sum only at the very end
    return found, names


class _CountedStream:
    """Hands on what `stream` gives, until that is more than `limit_bytes`."""

    def __init__(self, stream: Reader, archive: Path, limit_bytes: int) -> None:
        self.stream = stream
        self.archive = archive
        self.limit_bytes = limit_bytes
        self.done = 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = self.stream.read(size)
        self.done += len(chunk)
        if self.done > self.limit_bytes:
            raise _too_large(self.archive, None, self.limit_bytes)
        return chunk


@contextmanager
def _open_counted(archive: Path, max_bytes: int) -> Iterator[IO[bytes]]:
    with archive.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = _CountedStream(gzip.GzipFile(fileobj=raw) if packed else raw, archive, max_bytes)
        yield cast(IO[bytes], stream)  # tarfile's stream mode only reads


def _take(
    archive: Path,
    name: str,
    reader: Reader,
    members: Mapping[str, MemberInfo],
    folder: Path,
    found: dict[str, CopiedFile],
    max_bytes: int,
) -> None:
    if name in found:
        raise _refuse(archive, name, "there twice")
    wanted = members[name]
    left = max_bytes - sum(copied.bytes for copied in found.values())
    limit_bytes = left if wanted.bytes is None else min(left, wanted.bytes)
    try:
        copied = copy_stream(reader, folder / name, limit_bytes=limit_bytes)
    except TooLarge as error:
        raise _too_large(archive, name, limit_bytes) from error
    if wanted.sha256 not in (None, copied.sha256):
        raise DataError(
            "a member of the archive has another digest than declared",
            where=f"{archive}, member {name}",
            received=f"sha256 {copied.sha256}, {copied.bytes} bytes",
            expected=f"sha256 {wanted.sha256}, {wanted.bytes} bytes",
        )
    found[name] = copied


def _check_count(archive: Path, count: int) -> None:
    if count > MAX_MEMBERS:
        raise DataError(
            "the archive has too many members",
            where=str(archive),
            received=f"at least {count}",
            expected=f"at most {MAX_MEMBERS}",
        )


def _check_safe(archive: Path, name: str, regular: bool) -> None:
    reason = explain_unsafe(name) or (None if regular else "a link or a device, not a file")
    if reason:
        raise _refuse(archive, name, reason)


def _refuse(archive: Path, name: str, reason: str) -> DataError:
    return DataError(
        "the archive is refused; nothing was taken from it",
        where=f"{archive}, member {name!r}",
        received=reason,
        expected="plain files whose paths stay inside the folder",
    )


def _too_large(archive: Path, name: str | None, limit_bytes: int) -> DataError:
    return DataError(
        "the archive unpacks to more than is allowed; nothing was taken from it",
        where=str(archive) if name is None else f"{archive}, member {name!r}",
        received=f"more than {limit_bytes} bytes",
        expected=f"at most {limit_bytes} bytes",
    )


def _listing(names: Iterable[str]) -> str:
    listed = list(names)
    rest = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return (", ".join(listed[:8]) or "nothing") + rest
