"""Stories as a person writes them: a sentence a line, questions between them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from regrow.base.errors import DataError
from regrow.models.question_answering.reader import MAX_LINE_BYTES, MAX_STORY_LINES, tokenise

NUMBER = re.compile(r"^(\d+)\s+")


@dataclass(frozen=True)
class Asked:
    """A question about the story so far.

    Attributes:
        story: the sentences as written.
        question: as written.
        where: file and line.
        expected: the answer that stands behind it, in bAbI's form; "" if there is none.
    """

    story: tuple[str, ...]
    question: str
    where: str
    expected: str = ""

    @property
    def tokenised(self) -> tuple[list[str], str]:
        """Story and question as their lower-case words."""
        return [tokenise(sentence) for sentence in self.story], tokenise(self.question)


def read_stories(path: Path) -> list[Asked]:
    """The questions of a text file, each with the story before it.

    A line is a sentence, or a question if it ends with a question mark or has bAbI's tabs. An empty
    line, or the number 1 in front, begins a new story.

    Raises:
        DataError: the file is no UTF-8 text, or has no question, or one without a story.
    """
    return parse_stories(decode_lines(path.read_bytes(), str(path)), str(path))


def decode_lines(raw: bytes, name: str) -> list[str]:
    """The lines of a text.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            "the file is not UTF-8 text",
            where=f"{name}, byte {error.start}",
            received=f"byte 0x{error.object[error.start]:02x}",
            expected="UTF-8 text, one sentence per line",
            remedies=["save the file as UTF-8"],
        ) from None


def parse_stories(lines: Iterable[str], name: str) -> list[Asked]:
    """The questions of lines of text; see `read_stories`."""
    asked: list[Asked] = []
    story: list[str] = []
    for number, line in enumerate(lines, 1):
        where = f"{name}, line {number}"
        text = line.strip()
        numbered = NUMBER.match(text)
        if not text or (numbered and numbered[1] == "1"):
            story = []
        text = NUMBER.sub("", text)
        if not text:
            continue
        question, *fields = (part.strip() for part in text.split("\t"))
        _check(question, where, len(story))
        if not (fields or question.endswith("?")):
            story.append(question)
            continue
        if not story:
            raise DataError(
                "a question without a preceding story",
                where=where,
                received=question,
                expected="sentences before the question, one per line",
            )
        asked.append(Asked(tuple(story), question, where, fields[0] if fields else ""))
    if not asked:
        raise DataError(
            "there is no question",
            where=name,
            received="sentences only" if story else "nothing",
            expected="a line that ends with a question mark",
        )
    return asked


def _check(text: str, where: str, sentences: int) -> None:
    if len(text.encode()) > MAX_LINE_BYTES or sentences > MAX_STORY_LINES:
        raise DataError(
            "the line or its story is too long",
            where=where,
            received=f"{len(text.encode())} bytes after {sentences} sentences",
            expected=f"at most {MAX_LINE_BYTES} bytes per line and {MAX_STORY_LINES} lines per "
            "story",
        )
    if not tokenise(text):
        raise DataError(
            "there are no words", where=where, received=repr(text), expected="a sentence"
        )
