"""Parses a document of Reuters-21578.

Its tags are walked once, each against the element that it must be in, so that a missing or a
strange tag is found where it stands. `<` and `&` in texts and all control characters are entities.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

from regrow.models.sentence_vectors.documents import CgiSplit, Document, Form, Indexed, LewisSplit

if TYPE_CHECKING:
    from regrow.base.errors import DataError
    from regrow.models.sentence_vectors.reader import Reading

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


def parse_document(text: str, facts: Reading, refuse: Callable[..., DataError]) -> Document:
    """Parses a document.

    Args:
        text: from <REUTERS to </REUTERS>.
        facts: filled while reading.
        refuse: makes the error for a place in the text, by what is wrong there, what was received,
            what was expected and what to do.

    Raises:
        DataError: an element is missing, unknown, misplaced or not closed, or a value is none.
    """
    return _Parser(text, facts, refuse).parse()


class _Parser:
    """One document."""

    def __init__(self, text: str, facts: Reading, refuse: Callable[..., DataError]) -> None:
        self.text = text
        self.facts = facts
        self.refuse = refuse
        self.found: dict[str, str] = {}
        self.attributes: dict[str, str] = {}
        self.topics: list[str] = []

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
        remedy = [] if name in known else ["write &lt; for a '<' in the text"]
        return self.refuse(
            tag.start(), what, tag[0][:60], expected or f"text and </{parent}>", *remedy
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
