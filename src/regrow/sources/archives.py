"""Extracts the wanted members of zip and tar files that may be hostile or damaged."""

from __future__ import annotations

import hashlib
import re
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, cast

from regrow.base.archive_members import is_damage
from regrow.base.errors import DataError, shorten_list
from regrow.sources.packed import archive_kind, open_packed

MAX_UNPACKED_BYTES = 4 * 2**30
MAX_MEMBERS = 100_000
CHUNK_BYTES = 2**20


class Reader(Protocol):
    """An object that bytes can be read from."""

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
    """More bytes than allowed were read."""


def list_members(archive: Path) -> list[str]:
    """The names of a zip's or tar's files, in its order.

    Raises:
        DataError: as `extract_members`.
    """
    with tempfile.TemporaryDirectory() as folder:
        extraction = _Extraction(archive, {}, Path(folder), MAX_UNPACKED_BYTES, MAX_MEMBERS)
        extraction.run(partial=False)
    return extraction.names


def explain_unsafe(name: str) -> str | None:
    """Why a member's name must not become a path; None if it may."""
    path = name.replace("\\", "/")
    if not path.strip("/") or "\0" in path:
        return "an empty name" if "\0" not in path else "a NUL in its name"
    if path.startswith("/"):
        return "an absolute path"
    if re.match(r"[A-Za-z]:", path):
        return "a drive letter"
    return "a path outside the folder" if ".." in path.split("/") else None


def copy_stream(reader: Reader, target: Path, *, limit_bytes: int | None = None) -> CopiedFile:
    """Writes what `reader` yields to `target`, and hashes and counts it.

    Raises:
        TooLarge: there are more than `limit_bytes`.
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
    max_bytes: int = MAX_UNPACKED_BYTES,
    max_members: int = MAX_MEMBERS,
) -> dict[str, CopiedFile]:
    """Writes the wanted members of a zip or tar(.gz) to `out`, all of them or none.

    Bytes are counted while they are unpacked; sizes that the archive states are not trusted. The
    archive is refused as a whole if any member, wanted or not, has a path that escapes or is a link
    or a device.

    Args:
        archive: the file to open.
        members: the wanted members by path, with the digest and size that they must have.
        out: where they are written, under their paths.
        partial: whether one wanted member is enough; the others may be missing.
        max_bytes: how much may be unpacked in total; for a tar this counts all its members.
        max_members: how many members the archive may have, wanted or not.

    Returns:
        Digest and size of each member written.

    Raises:
        DataError: not an archive, damaged, encrypted, unsafe, too large, or a member is missing or
            has another digest.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=out) as folder:
        extraction = _Extraction(archive, members, Path(folder), max_bytes, max_members)
        found = extraction.run(partial=partial)
        for name in found:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).replace(out / name)
    return found


@dataclass
class _Extraction:
    """One archive, what is wanted of it, and what has been unpacked into `folder`."""

    archive: Path
    members: Mapping[str, MemberInfo]
    folder: Path
    max_bytes: int
    max_members: int
    found: dict[str, CopiedFile] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def run(self, *, partial: bool) -> dict[str, CopiedFile]:
        """Unpacks the wanted members, or with `partial` those that there are."""
        kind = archive_kind(self.archive)
        if kind is None:
            raise DataError(
                "this is neither a zip nor a tar archive",
                where=str(self.archive),
                expected=shorten_list(self.members),
            )
        try:
            (_unpack_zip if kind == "zip" else _unpack_tar)(self)
        except Exception as error:
            if not is_damage(error):
                raise
            raise explain_damage(self.archive, error) from error
        missing = sorted(set(self.members) - set(self.found))
        if missing and not (partial and self.found):
            raise DataError(
                "the archive does not contain a member",
                where=str(self.archive),
                received=shorten_list(self.names),
                expected=shorten_list(missing),
            )
        return self.found

    def take(self, name: str, reader: Reader) -> None:
        """Unpacks one wanted member."""
        if name in self.found:
            raise self.refuse(name, "duplicate member")
        wanted = self.members[name]
        left = self.max_bytes - sum(copied.bytes for copied in self.found.values())
        limit_bytes = left if wanted.bytes is None else min(left, wanted.bytes)
        try:
            copied = copy_stream(reader, self.folder / name, limit_bytes=limit_bytes)
        except TooLarge as error:
            raise self.too_large(name, limit_bytes) from error
        if wanted.sha256 not in (None, copied.sha256):
            raise DataError(
                "the digest of an archive member differs from the declared one",
                where=f"{self.archive}, member {name}",
                received=f"sha256 {copied.sha256}, {copied.bytes} bytes",
                expected=f"sha256 {wanted.sha256}, {wanted.bytes} bytes",
            )
        self.found[name] = copied

    def check_count(self, count: int) -> None:
        if count > self.max_members:
            raise DataError(
                "the archive has too many members",
                where=str(self.archive),
                received=f"at least {count}",
                expected=f"at most {self.max_members}",
            )

    def check_safe(self, name: str, regular: bool) -> None:
        reason = explain_unsafe(name) or (None if regular else "a link or a device, not a file")
        if reason:
            raise self.refuse(name, reason)

    def refuse(self, name: str, reason: str) -> DataError:
        return DataError(
            "the archive was refused; nothing was extracted",
            where=f"{self.archive}, member {name!r}",
            received=reason,
            expected="plain files whose paths stay inside the folder",
        )

    def too_large(self, name: str | None, limit_bytes: int) -> DataError:
        return DataError(
            "the unpacked archive is too large; nothing was extracted",
            where=str(self.archive) if name is None else f"{self.archive}, member {name!r}",
            received=f"more than {limit_bytes} bytes",
            expected=f"at most {limit_bytes} bytes",
        )


def explain_damage(path: Path, error: BaseException) -> DataError:
    """The error for an archive or a packed file that cannot be read to its end."""
    return DataError(
        "the archive is damaged or incomplete",
        where=str(path),
        received=f"{type(error).__name__}: {error}",
        remedies=["download it again, or create the archive again"],
    )


def _unpack_zip(extraction: _Extraction) -> None:
    with zipfile.ZipFile(extraction.archive) as container:
        infos = container.infolist()
        extraction.check_count(len(infos))
        for info in infos:
            form = stat.S_IFMT(info.external_attr >> 16)
            regular = form in (0, stat.S_IFREG, stat.S_IFDIR)
            extraction.check_safe(info.orig_filename, regular)
            extraction.check_safe(info.filename, regular)
        extraction.names += [info.filename for info in infos if not info.is_dir()]
        for info in infos:
            if info.filename not in extraction.members or info.is_dir():
                continue
            if info.flag_bits & 0x1:
                reason = "encrypted; encrypted archives are not supported"
                raise extraction.refuse(info.filename, reason)
            with container.open(info) as reader:
                extraction.take(info.filename, reader)


def _unpack_tar(extraction: _Extraction) -> None:
    count = 0
    # One pass in stream mode: skipped members are unpacked too, so that they are counted.
    with _open_counted(extraction) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as container:
            for info in container:
                count += 1
                extraction.check_count(count)
                extraction.check_safe(info.name, info.isreg() or info.isdir())
                name = info.name.removeprefix("./")
                if info.isreg():
                    extraction.names.append(name)
                reader = container.extractfile(info) if info.isreg() else None
                if reader is not None and name in extraction.members:
                    extraction.take(name, reader)
        while stream.read(CHUNK_BYTES):
            pass  # gzip verifies its checksum only at the end


class _CountedStream:
    """Passes on what `stream` yields, up to the limit of an extraction."""

    def __init__(self, stream: Reader, extraction: _Extraction) -> None:
        self.stream = stream
        self.extraction = extraction
        self.done = 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = self.stream.read(size)
        self.done += len(chunk)
        if self.done > self.extraction.max_bytes:
            raise self.extraction.too_large(None, self.extraction.max_bytes)
        return chunk


@contextmanager
def _open_counted(extraction: _Extraction) -> Iterator[IO[bytes]]:
    with extraction.archive.open("rb") as raw:
        stream = _CountedStream(open_packed(raw), extraction)
        yield cast(IO[bytes], stream)  # tarfile's stream mode only reads
