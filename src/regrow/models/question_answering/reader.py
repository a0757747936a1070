"""Reads bAbI's files, and nothing that is not quite like them, in blocks of bounded memory.

A line is a number, a blank and a sentence, or a question, a tab, its answer, a tab and the numbers
of its supporting lines. Number 1 starts a new story; until then the story grows, its questions ask
about all of it, and they are counted like sentences (Weston et al. 2015, arXiv:1502.05698).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from regrow.base.errors import DataError
from regrow.models.question_answering.rows import Block, Question
from regrow.models.question_answering.tasks import Edition, Split
from regrow.text.lines import split_lines

# The longest line of bAbI has 70 bytes, its longest story 240 lines. Each question's row holds the
# story so far, so that rows of a file without story starts would grow with the file's square.
MAX_LINE_BYTES = 2_000
MAX_STORY_LINES = 1_000
# bAbI has some 150 words. More than this is another kind of text, and memory has its bounds.
MAX_WORDS = 50_000
BLOCK_CHARACTERS = 8 << 20
KNOWN_TEXTS = 20_000

QUESTION_LINE = "question, tab, answer, tab, line numbers of the supporting facts"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def tokenise(text: str) -> str:
    """A sentence or question as its lower-case words with one blank between them.

    >>> tokenise("Mary moved to the bathroom.")
    'mary moved to the bathroom'
    """
    return " ".join(WORD.findall(text.lower()))


@dataclass
class Reading:
    """What was met in a file.

    Attributes:
        questions: how many.
        stories: how many.
        longest_story: sentences before a question.
        longest_sentence: words in a sentence or question.
        words: those of the sentences and questions.
        answers: each counts as one, also a list or a path.
        empty_lines: left out.
        byte_order_mark: whether one was left out.
    """

    questions: int = 0
    stories: int = 0
    longest_story: int = 0
    longest_sentence: int = 0
    words: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    empty_lines: int = 0
    byte_order_mark: bool = False

    def count_question(self, answer: str, story_length: int) -> None:
        """Counts a question about so many sentences."""
        self.questions += 1
        self.longest_story = max(self.longest_story, story_length)
        self.answers.add(answer)


class _Place(NamedTuple):
    """A line of a file, for messages."""

    path: Path
    line: int

    def refuse(self, what: str, received: str, expected: str, remedy: str = "") -> DataError:
        return DataError(
            what,
            where=f"{self.path}, line {self.line}",
            received=received if len(received) <= 200 else f"{received[:199]}…",
            expected=expected,
            remedies=[remedy or "correct that line, or download the file again; it may be damaged"],
        )


def read_questions(
    path: Path, facts: Reading, *, edition: Edition, task: int, split: Split
) -> Iterator[pa.RecordBatch]:
    """Yields a file's questions in blocks, in the file's order, with the columns of `rows.SCHEMA`.

    Args:
        path: the file.
        facts: filled while reading.
        edition: what the rows say of themselves, as are `task` and `split`.

    Raises:
        DataError: the file is not as bAbI's are; names file and line.
    """
    prefix = f"{edition}/qa{task:02}/{split}/"
    block = Block({"edition": edition, "task": task, "split": split})
    known = _Texts(facts)
    sentence_of: list[int | None] = []  # by number of the line; None for a question
    for place, number, text in _numbered_lines(path, facts):
        if number == 1:
            facts.stories += 1
            sentence_of = []
            block.start_story()
        if "\t" not in text:
            _refuse_bare_question(place, text)
            sentence_of.append(block.story_length)
            block.add_sentence(known.tokenise(place, text))
            continue
        question, answer, supporting = _parse_question(place, text, block.story_length)
        facts.count_question(answer, block.story_length)
        name, asked = f"{prefix}{facts.questions:07}", known.tokenise(place, question)
        found = _resolve(place, supporting, number, sentence_of)
        sentence_of.append(None)
        row = Question(name, facts.stories, place.line, block.new_from, asked, answer, found)
        block.add_question(row)
        if block.characters > BLOCK_CHARACTERS:
            yield block.take()
    if not facts.questions:
        raise _refuse_empty(path, facts)
    if block.rows:
        yield block.take()


def _refuse_empty(path: Path, facts: Reading) -> DataError:
    return DataError(
        "the file has no question" if facts.stories else "the file is empty",
        where=f"{path}, line 1",
        received=f"{facts.stories} stories and {facts.empty_lines} empty lines",
        expected="numbered sentences and questions, such as '1 Mary went home.'",
        remedies=["download the file again, or use another file with --source"],
    )


def _numbered_lines(path: Path, facts: Reading) -> Iterator[tuple[_Place, int, str]]:
    """Each line's place, its number in the story, and the text after it."""
    previous = 0
    with path.open("rb") as stream:
        facts.byte_order_mark = stream.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK
        if not facts.byte_order_mark:
            stream.seek(0)
        # No line is read beyond the bound, whatever the file holds.
        for line, raw in enumerate(split_lines(stream, MAX_LINE_BYTES + 1), 1):
            place = _Place(path, line)
            text = _decode(place, raw)
            if not text:
                facts.empty_lines += 1
                continue
            digits, _, text = text.partition(" ")
            number = int(digits) if digits.isascii() and digits.isdigit() else 0
            if number not in (previous + 1, 1):
                raise place.refuse(
                    "the lines of a story are not numbered consecutively",
                    repr(raw[:60].decode("utf-8", "replace")),
                    f"the number {previous + 1}" + (", or 1 for a new story" if previous else ""),
                )
            if number > MAX_STORY_LINES:
                raise place.refuse(
                    "the story is too long",
                    f"a line number of {number}",
                    f"at most {MAX_STORY_LINES} lines per story",
                    "split the story: each part starts with line number 1",
                )
            previous = number
            yield place, number, text


def _decode(place: _Place, raw: bytes) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise place.refuse(
            "the line is too long",
            f"more than {MAX_LINE_BYTES} bytes: {raw[:40]!r}…",
            "one sentence or question per line",
        )
    try:
        return raw.decode("utf-8").strip("\r\n ")
    except UnicodeDecodeError as error:
        raise place.refuse(
            "the file is not UTF-8 text",
            f"byte 0x{raw[error.start]:02x} in column {error.start + 1}",
            "UTF-8 text",
            "save the file as UTF-8, or unpack it first if it is an archive",
        ) from None


def _refuse_bare_question(place: _Place, text: str) -> None:
    if "?" in text:
        bare = text.endswith("?")
        what = "the question has no answer" if bare else "a question's tabs are missing"
        raise place.refuse(what, repr(text), QUESTION_LINE)


def _parse_question(place: _Place, text: str, story_length: int) -> tuple[str, str, str]:
    fields = [part.strip() for part in text.split("\t")]
    if len(fields) != 3:
        raise place.refuse(
            "a tab is missing" if len(fields) < 3 else "there are too many tabs",
            f"{len(fields)} fields: {text!r}",
            QUESTION_LINE,
        )
    question, answer, supporting = fields
    if not answer:
        raise place.refuse("the question has no answer", repr(text), QUESTION_LINE)
    if not story_length:
        raise place.refuse("a question without preceding sentences", text, "a sentence first")
    return question, answer.lower(), supporting


def _resolve(
    place: _Place, supporting: str, number: int, sentence_of: list[int | None]
) -> list[int]:
    """The sentences, counted from 0, behind the supporting lines of question `number`."""
    lines = supporting.split()
    if not lines:
        raise place.refuse("the question has no supporting fact", "nothing", "line numbers")
    found = []
    for text in lines:
        fact = int(text) if text.isascii() and text.isdigit() else 0
        sentence = sentence_of[fact - 1] if 0 < fact < number else None
        if sentence is None:
            reason = "a line that comes later" if fact > number else "no such line"
            if 0 < fact <= number:
                reason = "the line of a question"
            raise place.refuse(
                "a supporting fact is not a preceding sentence of the story",
                f"{text!r}: {reason}",
                f"numbers of sentences from 1 to {number - 1}",
            )
        found.append(sentence)
    return found


class _Texts:
    """Tokenised texts, remembered because bAbI repeats its sentences all the time."""

    def __init__(self, facts: Reading) -> None:
        self.facts = facts
        self.known: dict[str, str] = {}

    def tokenise(self, place: _Place, text: str) -> str:
        found = self.known.get(text)
        if found is not None:
            return found
        tokens = tokenise(text)
        words = tokens.split()
        if not words:
            raise place.refuse("there are no words", repr(text), "a sentence or a question")
        self.facts.words.update(words)
        if len(self.facts.words) > MAX_WORDS or len(self.facts.answers) > MAX_WORDS:
            raise place.refuse(
                "the file contains too many different words for bAbI stories",
                f"more than {MAX_WORDS}",
                "a few hundred words, as in bAbI",
                "use a file in the bAbI format with --source",
            )
        self.facts.longest_sentence = max(self.facts.longest_sentence, len(words))
        if len(self.known) == KNOWN_TEXTS:
            self.known.clear()
        self.known[text] = tokens
        return tokens
