"""Zips of pictures: which members are taken, and what is said of those that are not."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regrow.base.archive_members import is_damage, is_litter
from regrow.base.errors import DataError, shorten_list
from regrow.vision.decoding import list_endings

MAX_BYTES = 1_000_000_000
ENCRYPTED = 0x1  # a member's flag


@contextmanager
def explain_zip(where: str) -> Iterator[None]:
    """Turns what a damaged zip raises while the block lasts into a DataError."""
    try:
        yield
    except Exception as error:
        if not is_damage(error):
            raise
        raise DataError(
            "the zip of pictures cannot be read",
            where=where,
            received=f"{type(error).__name__}: {error}",
            expected="a complete zip file with Deflate compression and without a password",
            remedies=["unpack it and pack the pictures again, or use one of them"],
        ) from error


def choose_pictures(
    archive: zipfile.ZipFile, origin: str, notes: list[str], most: int
) -> list[zipfile.ZipInfo]:
    """The members that are pictures, in the order of their names; what is left out is noted.

    Args:
        origin: the zip, as a person knows it.
        notes: gets a line on files that are not pictures.
        most: so many pictures are taken at most.

    Raises:
        DataError: none, too many, or encrypted ones.
    """
    endings = tuple(list_endings())
    files = [one for one in archive.infolist() if not (one.is_dir() or is_litter(one.filename))]
    members = [one for one in files if one.filename.lower().endswith(endings)]
    others = sorted(one.filename for one in files if not one.filename.lower().endswith(endings))
    size = sum(member.file_size for member in members)
    if not 0 < len(members) <= most or size > MAX_BYTES:
        raise DataError(
            "the zip cannot be used as a collection of pictures",
            where=origin,
            received=f"{len(members)} pictures, {size:,} bytes"
            + (f"; other files: {shorten_list(others)}" if others else ""),
            expected=f"1 to {most} pictures, {MAX_BYTES:,} bytes in total at most",
            remedies=["convert unsupported files, such as HEIC, to JPEG before you pack them"],
        )
    for member in members:
        if member.flag_bits & ENCRYPTED:
            raise DataError(
                "the zip of pictures is encrypted, which is not supported",
                where=f"{origin}, {member.filename}",
                expected="a zip without a password",
                remedies=["unpack it and pack the pictures again without one"],
            )
    if others:
        notes.append(
            f"of {origin} these files are not pictures and were left out: {shorten_list(others)}"
        )
    return sorted(members, key=lambda one: one.filename)


def extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: str, target: Path) -> None:
    """Writes a member to `target`; `label` is what a person knows it by."""
    with explain_zip(label), archive.open(member) as reader, target.open("wb") as stream:
        shutil.copyfileobj(reader, stream)
