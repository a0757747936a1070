"""Questions as rows of the table: a block of them becomes a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("edition", pa.string()),
        ("task", pa.int8()),
        ("split", pa.string()),
        ("story_number", pa.int32()),
        ("line", pa.int32()),
        ("story", pa.list_(pa.string())),
        ("new_from", pa.int16()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("supporting", pa.list_(pa.int16())),
    ]
)
# What a row takes beside its texts, roughly.
ROW_CHARACTERS = 200


class Question(NamedTuple):
    """One row of the table, apart from its story's sentences."""

    id: str
    story_number: int
    line: int
    new_from: int
    question: str
    answer: str
    supporting: list[int]


class Block:
    """Questions on their way into a batch.

    Each question's story is a range of `sentences`, so a sentence is kept once until then.
    `characters` says how large the batch would be.
    """

    def __init__(self, same: dict[str, str | int]) -> None:
        self.same = same
        self.sentences: list[str] = []
        self.rows: list[Question] = []
        self.ranges: list[tuple[int, int]] = []
        self.characters = 0
        self.start_story()

    @property
    def story_length(self) -> int:
        """How many sentences the story has so far."""
        return len(self.sentences) - self.start

    def start_story(self) -> None:
        """Begins a new story; of the old one only what questions ask about is kept."""
        del self.sentences[sum(self.ranges[-1]) if self.ranges else 0 :]
        self.start = len(self.sentences)
        self.story_characters = 0
        self.new_from = 0

    def add_sentence(self, sentence: str) -> None:
        """Makes the story longer."""
        self.sentences.append(sentence)
        self.story_characters += len(sentence)

    def add_question(self, row: Question) -> None:
        """Adds a question about the story so far."""
        self.rows.append(row)
        self.ranges.append((self.start, self.story_length))
        self.characters += ROW_CHARACTERS + self.story_characters + len(row.question)
        self.new_from = self.story_length

    def take(self) -> pa.RecordBatch:
        """The rows so far; only the story that is going on stays behind."""
        columns = dict(zip(Question._fields, zip(*self.rows, strict=True), strict=True))
        arrays = {name: pa.array(values) for name, values in columns.items()}
        arrays["story"] = _gather(self.sentences, np.array(self.ranges, dtype=np.int64))
        arrays |= {n: pa.repeat(value, len(self.rows)) for n, value in self.same.items()}
        self.sentences = self.sentences[self.start :]
        self.rows, self.ranges, self.start, self.characters = [], [], 0, 0
        return pa.RecordBatch.from_arrays(
            [arrays[entry.name].cast(entry.type) for entry in SCHEMA], schema=SCHEMA
        )


def _gather(
    sentences: list[str], ranges: np.ndarray[tuple[int, int], np.dtype[np.int64]]
) -> pa.Array:
    """For each range (first, length) the list of its sentences."""
    first, length = ranges.T
    offsets = np.concatenate([[0], np.cumsum(length)])
    indices = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], length)
    values = pa.array(sentences, pa.string()).take(pa.array(indices))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
