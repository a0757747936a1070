"""The clean tables as arrays and frames."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from regrow.models.sentence_vectors.documents import Form, find_shared_topics
from regrow.models.sentence_vectors.sentences import Part
from regrow.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sentences:
    """Sentences in the order of the documents.

    Attributes:
        document: (sentences,), int32: the id of each one's document.
        is_title: (sentences,), bool: whether each is a title or of one.
        ranks: (words,), int32: all their words one after another, 0 for the most frequent word.
        offsets: (sentences + 1,), int64: where in `ranks` each one begins and the last one ends.
        ranked: all words, the most frequent in training documents first.
        texts: (sentences,), as they were written.
    """

    document: Array
    is_title: Array
    ranks: Array
    offsets: Array
    ranked: tuple[str, ...]
    texts: pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.document)

    @cached_property
    def lengths(self) -> Array:
        """(sentences,), int64: how many words each has."""
        return np.diff(self.offsets)

    def take(self, rows: Array) -> Sentences:
        """Some of the sentences, in this order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        words = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Sentences(
            self.document[rows],
            self.is_title[rows],
            self.ranks[words],
            offsets,
            self.ranked,
            self.texts.take(rows),
        )

    def encode(self, vocabulary: Vocabulary) -> list[Array]:
        """The ids of each one's words, int32, as views of one array."""
        return np.split(vocabulary.encode_ranks(self.ranks), self.offsets[1:-1])


def read_sentences(
    folder: Path,
    *,
    parts: Collection[Part] = get_args(Part),
    forms: Collection[Form] = get_args(Form),
) -> Sentences:
    """The sentences that cleaning left in a folder.

    Args:
        folder: holds sentences.parquet and words.parquet.
        parts: titles, bodies or both.
        forms: of which documents; "UNPROC" are mostly tables of numbers.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = [("part", "in", list(parts)), ("form", "in", list(forms))]
    table = pq.read_table(
        folder / "sentences.parquet", columns=["document", "part", "text", "words"], filters=wanted
    )
    words = pq.read_table(folder / "words.parquet", columns=["word", "rank"])
    rank = words["rank"].to_numpy()
    lists = table["words"].combine_chunks()
    offsets = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())])
    return Sentences(
        document=table["document"].to_numpy(),
        is_title=pc.equal(table["part"].cast("string"), "title").to_numpy(),
        ranks=rank[lists.flatten().to_numpy()],
        offsets=offsets.astype("int64"),
        ranked=tuple(words["word"].take(np.argsort(rank)).to_pylist()),
        texts=table["text"],
    )


@dataclass(frozen=True)
class Labelled:
    """The documents of "ModApte-90", and their topics as a matrix.

    Attributes:
        train: ids of documents, (documents,).
        test: the same.
        topics: the topics that both have.
        train_topics: (documents, topics), bool.
        test_topics: the same.
    """

    train: Array
    test: Array
    topics: tuple[str, ...]
    train_topics: Array
    test_topics: Array


def read_labelled(table: Path) -> Labelled:
    """Those documents of ModApte that have a topic which both its parts have.

    On the real data these are 7,770 to train and 3,019 to test, with 90 topics.
    """
    frame = read_documents(table)
    topics = find_shared_topics(frame["topics"], frame["mod_apte"])
    column = {name: index for index, name in enumerate(topics)}
    matrix = np.zeros((len(frame), len(topics)), dtype=bool)
    for row, names in enumerate(frame["topics"]):
        matrix[row, [column[name] for name in names if name in column]] = True
    kept = {s: (frame["mod_apte"] == s).to_numpy() & matrix.any(axis=1) for s in ("train", "test")}
    ids = frame["id"].to_numpy()
    return Labelled(
        ids[kept["train"]],
        ids[kept["test"]],
        tuple(topics),
        matrix[kept["train"]],
        matrix[kept["test"]],
    )


def read_documents(table: Path) -> pd.DataFrame:
    """The clean table; `topics` are numpy arrays of texts."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(table).to_pandas()
    return frame
