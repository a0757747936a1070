"""What a file of a person's own is: a zip, a tar, or packed by gzip, bzip2 or xz."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal, cast

from regrow.base.archive_members import DAMAGE
from regrow.base.file_kinds import HEAD_BYTES, ZIP, is_document

# How packed files begin, and what unpacks them.
PACKINGS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}


def archive_kind(path: Path) -> Literal["zip", "tar", "packed"] | None:
    """Whether a file is a zip, a tar (packed or not) or one packed file; None for none of these.

    Documents of programs that are zips as well, such as Excel's, are no archives.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if head.startswith(ZIP):
            return None if is_document(path) else "zip"
        packed = any(head.startswith(start) for start in PACKINGS)
        if packed:
            stream.seek(0)
            try:
                head = open_packed(stream).read(HEAD_BYTES)
            except (*DAMAGE, OSError):
                return "packed"
    if head[257:262] == b"ustar":
        return "tar"
    return "packed" if packed else None


def open_packed(raw: IO[bytes]) -> IO[bytes]:
    """What a stream holds, unpacked if it is packed; the stream is at its start."""
    head = raw.read(8)
    raw.seek(0)
    unpack = next((how for start, how in PACKINGS.items() if head.startswith(start)), None)
    return cast(IO[bytes], unpack(raw)) if unpack else raw
