"""Reads Reuters-21578's SGML files, and nothing that is not quite like them, document by document.

The files are Latin-1. A document is cut out of the stream at `</REUTERS>`; `parser.py` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from regrow.base.errors import DataError
from regrow.models.sentence_vectors.documents import Document
from regrow.models.sentence_vectors.parser import parse_document

# The longest document has 14,073 bytes. What goes on for longer has lost its end.
MAX_DOCUMENT_BYTES = 200_000
BLOCK_BYTES = 1 << 18
END = b"</REUTERS>"
DOCTYPE = re.compile(rb"\s*<!DOCTYPE[^>]*>", re.IGNORECASE)
# Bytes that Latin-1 text has not: NUL, and the second block of control characters.
JUNK = bytes([0, *range(0x80, 0xA0)])
NOT_JUNK = bytes(set(range(256)) - set(JUNK))
REMEDY = "correct the file there, or download it again; it may be damaged"


@dataclass
class Reading:
    """What was met in the files.

    Attributes:
        documents: how many.
        by_file: how many in each file, by its name.
        dates_without_time: whose time of day cannot be read.
        control_characters: left out of titles and bodies, most of them marks of an end.
    """

    documents: int = 0
    by_file: dict[str, int] = field(default_factory=dict)
    dates_without_time: int = 0
    control_characters: int = 0


def read_documents(path: Path, facts: Reading) -> Iterator[Document]:
    """Yields a file's documents in its order, holding no more than one and a block of the file.

    Args:
        path: the file.
        facts: filled while reading.

    Raises:
        DataError: the file is not as Reuters-21578's are; names file, line and byte.
    """
    count = 0
    for start, raw in _cut(path):
        yield parse_document(raw.decode("latin-1"), facts, partial(_refuse_within, path, start))
        count += 1
    if not count:
        raise _refuse(
            path, 0, "the file contains no documents", "no <REUTERS> tag", "<REUTERS ...>"
        )
    facts.documents += count
    facts.by_file[path.name] = count


def _cut(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each document with the offset of its first byte, from <REUTERS to </REUTERS>."""
    waiting, offset = b"", 0  # what is read and not yet used, and where in the file that begins
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            _check_bytes(path, offset + len(waiting), block)
            if not offset and not waiting:
                doctype = DOCTYPE.match(block)
                offset = doctype.end() if doctype else 0
                block = block[offset:]
            waiting += block
            at = 0
            while (end := waiting.find(END, at)) >= 0:
                end += len(END)
                yield _trim(path, offset + at, waiting[at:end])
                at = end
            waiting, offset = waiting[at:], offset + at
            if len(waiting) > MAX_DOCUMENT_BYTES:
                raise _refuse(
                    path,
                    *_trim(path, offset, waiting)[:1],
                    what="a document is too long",
                    received=f"more than {MAX_DOCUMENT_BYTES} bytes without </REUTERS>",
                    expected="</REUTERS> at the end of the document",
                )
    if waiting.strip():
        start, rest = _trim(path, offset, waiting)
        raise _refuse(
            path,
            start + len(rest),
            "the file ends in the middle of a document",
            f"end of file after {_show(rest[-40:])}",
            f"</REUTERS> for the document that starts at byte {start}",
        )


def _trim(path: Path, offset: int, raw: bytes) -> tuple[int, bytes]:
    text = raw.lstrip()
    start = offset + len(raw) - len(text)
    if not text.startswith(b"<REUTERS"):
        raise _refuse(
            path, start, "this is not the start of a document", _show(text[:60]), "<REUTERS ...>"
        )
    return start, text


def _check_bytes(path: Path, offset: int, block: bytes) -> None:
    if junk := block.translate(None, NOT_JUNK):
        at = min(block.index(byte) for byte in set(junk))
        raise _refuse(
            path,
            offset + at,
            "the file is not Latin-1 text",
            f"byte 0x{block[at]:02x}",
            "Latin-1 text, as in the collection",
            "save the file as Latin-1, or unpack it first if it is an archive",
        )
    if block.isascii():
        return
    high = re.search(rb"[\xc2-\xf4][\x80-\xbf]+", block)
    if high and _is_utf8(high[0]):
        raise _refuse(
            path,
            offset + high.start(),
            "the file is UTF-8, so characters would be read incorrectly",
            f"the bytes {high[0].hex(' ')}, which are {high[0].decode()!r} in UTF-8",
            "Latin-1 text, as in the collection",
            "save the file as Latin-1",
        )


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_within(path: Path, start: int, at: int, *said: str) -> DataError:
    """The error for a place in the document that begins at `start`."""
    return _refuse(path, start + at, *said)


def _refuse(
    path: Path, offset: int, what: str, received: str, expected: str, remedy: str = REMEDY
) -> DataError:
    # The line is looked up only now: nobody needs it while all is well.
    with path.open("rb") as stream:
        line = 1 + sum(
            stream.read(min(BLOCK_BYTES, offset - at)).count(b"\n")
            for at in range(0, offset, BLOCK_BYTES)
        )
    return DataError(
        what,
        where=f"{path}, line {line}, byte {offset}",
        received=received,
        expected=expected,
        remedies=[remedy],
    )


def _show(raw: bytes) -> str:
    return repr(raw.decode("latin-1"))
