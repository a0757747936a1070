"""What a file is, by its first bytes: for messages about a file that is not what was expected."""

from __future__ import annotations

import zipfile
from pathlib import Path

HEAD_BYTES = 512
PARQUET = b"PAR1"
# The first bytes of formats, and what messages call them.
MAGIC = (
    (PARQUET, "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a legacy Office file, such as .xls"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# A member by which a zip is known as a document or a model of some program.
ZIPPED = (
    ("xl/workbook.xml", "an Excel workbook"),
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb)"),
    ("word/document.xml", "a Word document"),
    ("ppt/presentation.xml", "a PowerPoint presentation"),
    ("content.xml", "an OpenDocument file"),
    ("Index/Document.iwa", "an Apple Pages, Numbers or Keynote document"),
    ("model.weights.h5", "a Keras model"),
)
# Brands of the ISO container: HEIC is what phones make.
BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"}


def name_kind(path: Path) -> str | None:
    """What a file is, as a part of a sentence; None where its first bytes do not say it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        return None
    if head.startswith(ZIP):
        return _name_zip(path)
    if kind := name_head(head):
        return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return None


def name_head(head: bytes) -> str | None:
    """What begins with these bytes; None where they do not say it."""
    if head[4:8] == b"ftyp" and head[8:12] in BRANDS:
        return "a HEIC picture"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((kind for start, kind in MAGIC if head.startswith(start)), None)


def is_document(path: Path) -> bool:
    """Whether a zip is the file of a program, and no archive of files that somebody packed."""
    return name_kind(path) in {kind for _, kind in ZIPPED}


def _name_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except Exception:  # whatever a damaged directory makes zipfile raise
        names = set()
    return next((kind for member, kind in ZIPPED if member in names), "a zip archive")
