"""What a document of Reuters-21578 is, its splits, and its row in the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import pyarrow as pa

Indexed = Literal["YES", "NO", "BYPASS"]
LewisSplit = Literal["TRAIN", "TEST", "NOT-USED"]
CgiSplit = Literal["TRAINING-SET", "PUBLISHED-TESTSET"]
Form = Literal["NORM", "BRIEF", "UNPROC"]
Split = Literal["train", "test", "unused"]
SPLITS: tuple[Split, ...] = get_args(Split)

DIMENSIONS = 50
"""Numbers in a word's vector: GloVe's smallest file, as in the chapter."""

SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("old_id", pa.int32()),
        ("date", pa.timestamp("ms")),
        ("topics", pa.list_(pa.string())),
        ("indexed", pa.string()),
        ("lewis_split", pa.string()),
        ("cgi_split", pa.string()),
        ("mod_apte", pa.string()),
        ("mod_lewis", pa.string()),
        ("mod_hayes", pa.string()),
        ("form", pa.string()),
        ("title", pa.string()),
        ("body", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Document:
    """One article.

    Attributes:
        id: NEWID, in order of time.
        old_id: OLDID, its number in Reuters-22173.
        date: when it was sent; the time zone is not stated.
        topics: its TOPICS, not its places, people and the like.
        indexed: the attribute TOPICS: whether Reuters-22173 had topics for it. It decides on splits
            and says nothing on `topics`.
        lewis_split: the attribute LEWISSPLIT.
        cgi_split: the attribute CGISPLIT.
        form: NORM has title and body, BRIEF a title only, UNPROC text that is neither.
        title: with single blanks; empty for UNPROC.
        body: with its line breaks; empty for BRIEF, all the text for UNPROC.
    """

    id: int
    old_id: int
    date: datetime
    topics: tuple[str, ...]
    indexed: Indexed
    lewis_split: LewisSplit
    cgi_split: CgiSplit
    form: Form
    title: str
    body: str

    @property
    def mod_lewis(self) -> Split:
        """The split "ModLewis" of the collection's README, section VIII.A."""
        if self.indexed == "BYPASS":
            return "unused"
        return _LEWIS[self.lewis_split]

    @property
    def mod_apte(self) -> Split:
        """The split "ModApte", section VIII.B; `topics` may be empty all the same."""
        return _LEWIS[self.lewis_split] if self.indexed == "YES" else "unused"

    @property
    def mod_hayes(self) -> Split:
        """The split "ModHayes", section VIII.C."""
        return "test" if self.cgi_split == "PUBLISHED-TESTSET" else "train"


_LEWIS: dict[LewisSplit, Split] = {"TRAIN": "train", "TEST": "test", "NOT-USED": "unused"}


def make_batch(documents: Sequence[Document]) -> pa.RecordBatch:
    """The documents as rows with the columns of `SCHEMA`."""
    columns = [[getattr(item, name) for item in documents] for name in SCHEMA.names]
    arrays = [pa.array(c, entry.type) for c, entry in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def find_shared_topics(topics: Iterable[Sequence[str]], splits: Iterable[str]) -> list[str]:
    """The topics with at least one document each in train and in test, sorted.

    On all documents and their `mod_apte` these are the 90 of "ModApte-90"; the documents with at
    least one of them are 7,770 to train and 3,019 to test.
    """
    found: dict[str, Counter[str]] = {"train": Counter(), "test": Counter(), "unused": Counter()}
    for names, split in zip(topics, splits, strict=True):
        found[split].update(names)
    return sorted(found["train"].keys() & found["test"].keys())
