"""Reads Reuters-21578's SGML files, and nothing that is not quite like them, document by document.

The files are Latin-1; `<` and `&` in texts and all control characters are entities. A document is
cut out of the stream at `</REUTERS>` and its tags are walked once, each against the element that it
must be in, so that a missing or a strange tag is found where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from regrow.base.errors import DataError
from regrow.models.sentence_vectors.documents import (
    CgiSplit,
    Document,
    Form,
    Indexed,
    LewisSplit,
)

# The longest document has 14,073 bytes. What goes on for longer has lost its end.
MAX_DOCUMENT_BYTES = 200_000
BLOCK_BYTES = 1 << 18
END = b"</REUTERS>"
DOCTYPE = re.compile(rb"\s*<!DOCTYPE[^>]*>", re.IGNORECASE)
# Bytes that Latin-1 text has not: NUL, and the second block of control characters.
JUNK = bytes([0, *range(0x80, 0xA0)])
NOT_JUNK = bytes(set(range(256)) - set(JUNK))

TAG = re.compile(r"<(/?)([A-Za-z]\w*)([^<>]*)>")
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
ENTITY = re.compile(r"&(?:#(\d{1,7})|(\w{1,8}));")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
# Noise may follow; one of the 21,578 has an hour of 605, and keeps its day alone.
DATE = re.compile(r"\s*(\d{1,2})-([A-Z]{3})-(\d{4})\b(?:\s+(\d\d):(\d\d):(\d\d)\.(\d{1,2}))?")
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"

LISTS = ("TOPICS", "PLACES", "PEOPLE", "ORGS", "EXCHANGES", "COMPANIES")
# Which elements may hold which.
INSIDE = {
    "": {"REUTERS"},
    "REUTERS": {"DATE", "MKNOTE", "UNKNOWN", "TEXT", *LISTS},
    "TEXT": {"TITLE", "DATELINE", "AUTHOR", "BODY"},
    **{name: {"D"} for name in LISTS},
}
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
        yield _Parser(path, start, raw.decode("latin-1"), facts).parse()
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


class _Parser:
    """One document; `start` is where its text begins in the file."""

    def __init__(self, path: Path, start: int, text: str, facts: Reading) -> None:
        self.path = path
        self.start = start
        self.text = text
        self.facts = facts
        self.found: dict[str, str] = {}
        self.attributes: dict[str, str] = {}
        self.topics: list[str] = []

    def refuse(self, at: int, what: str, received: str, expected: str, remedy: str = "") -> Any:
        return _refuse(self.path, self.start + at, what, received, expected, remedy or REMEDY)

    def parse(self) -> Document:
        self.walk()
        get = self.choose
        return Document(
            id=self.number("NEWID"),
            old_id=self.number("OLDID"),
            date=self.date(),
            topics=tuple(self.topics),
            indexed=get("TOPICS", get_args(Indexed)),
            lewis_split=get("LEWISSPLIT", get_args(LewisSplit)),
            cgi_split=get("CGISPLIT", get_args(CgiSplit)),
            form=(form := get("TYPE", get_args(Form))),
            title=" ".join(self.plain(self.found.get("TITLE", "")).split()),
            # What a brief has beside its title is the filler "Blah blah blah".
            body=self.plain(self.found.get("TEXT" if form == "UNPROC" else "BODY", "")),
        )

    def walk(self) -> None:
        """Fills in what the elements hold; each tag must stand where it may."""
        text, found = self.text, self.found
        stack: list[tuple[str, int]] = [("", 0)]
        tags = 0
        for tag in TAG.finditer(text):
            tags += 1
            slash, name, attributes = tag.groups()
            parent, since = stack[-1]
            if slash:
                if name != parent:
                    raise self.unbalanced(tag, stack)
                stack.pop()
                if name != "D":
                    if name in found and name not in ("UNKNOWN", "MKNOTE"):
                        raise self.refuse(tag.start(), f"there is a second {name}", tag[0], "one")
                    found[name] = text[since : tag.start()]
                elif stack[-1][0] == "TOPICS":
                    self.topics.append(text[since : tag.start()])
            else:
                if name not in INSIDE.get(parent, ()):
                    raise self.misplaced(tag, parent)
                stack.append((name, tag.end()))
                if attributes:
                    self.attributes.update(ATTRIBUTE.findall(attributes))
        if text.count("<") != tags:
            at = next(i for i, sign in enumerate(text) if sign == "<" and not TAG.match(text, i))
            received = repr(text[at : at + 40])
            raise self.refuse(
                at, "a '<' does not start a tag", received, "&lt; for a '<' in the text"
            )
        for name in ("DATE", "TOPICS", "TEXT"):
            if name not in found:
                raise self.refuse(0, f"the document has no {name}", text[:80], f"<{name}>")

    def unbalanced(self, tag: re.Match[str], stack: list[tuple[str, int]]) -> Any:
        parent, since = stack[-1]
        if tag[2] in [name for name, _ in stack]:
            at = since - self.start_tag_length(since)
            return self.refuse(at, f"<{parent}> is not closed", f"{tag[0]} first", f"</{parent}>")
        return self.refuse(tag.start(), f"{tag[0]} has no opening tag", tag[0], f"</{parent}>")

    def start_tag_length(self, end: int) -> int:
        return end - self.text.rindex("<", 0, end)

    def misplaced(self, tag: re.Match[str], parent: str) -> Any:
        name = tag[2]
        if name == "REUTERS":
            what = "a document starts inside another one: </REUTERS> is missing before it"
            return self.refuse(tag.start(), what, tag[0][:60], "</REUTERS>")
        known = {name for names in INSIDE.values() for name in names}
        what = f"<{name}> is not allowed in <{parent}>" if name in known else "an unknown tag"
        expected = ", ".join(f"<{name}>" for name in sorted(INSIDE.get(parent, ())))
        remedy = "" if name in known else "write &lt; for a '<' in the text"
        return self.refuse(
            tag.start(), what, tag[0][:60], expected or f"text and </{parent}>", remedy
        )

    def number(self, name: str) -> int:
        value = self.attributes.get(name, "")
        if not (value.isascii() and value.isdecimal() and len(value) < 10):
            raise self.refuse(0, f"{name} is not a number", repr(value), f'{name}="1"')
        return int(value)

    def choose(self, name: str, values: tuple[Any, ...]) -> Any:
        value = self.attributes.get(name, "NORM" if name == "TYPE" else "")
        if value not in values:
            raise self.refuse(0, f"{name} has an unknown value", repr(value), ", ".join(values))
        return value

    def date(self) -> datetime:
        text = self.found["DATE"]
        match = DATE.match(text)
        try:
            if match is None:
                raise ValueError
            day, month, year, hour, minute, second, hundredths = match.groups()
            self.facts.dates_without_time += hour is None
            time = (int(hour), int(minute), int(second), int(hundredths) * 10_000) if hour else ()
            return datetime(int(year), MONTHS.index(month) // 4 + 1, int(day), *time)
        except ValueError:
            at = self.text.index("<DATE>") if "<DATE>" in self.text else 0
            raise self.refuse(
                at, "the date cannot be read", repr(text[:60]), "26-FEB-1987 15:01:01.79"
            ) from None

    def plain(self, text: str) -> str:
        """The text with its entities resolved and without control characters and outer blanks."""
        if "&" in text:
            text = ENTITY.sub(_resolve, text)
        text, controls = CONTROL.subn("", text)
        self.facts.control_characters += controls
        return text.strip()


def _resolve(entity: re.Match[str]) -> str:
    number, name = entity.groups()
    if number is None:
        return NAMED.get(name, entity[0])
    return chr(int(number)) if int(number) < 256 else entity[0]
