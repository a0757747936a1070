"""The sentences of documents and the words in them, written as they come.

`sentences.parquet` holds one row a sentence, `words.parquet` one row a word. A sentence's words are
numbers of rows of the latter, in the order in which they were met; `rank` orders them by how
frequent they are, which is known only at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from regrow.models.sentence_vectors.documents import Document
from regrow.text.tokens import Tokeniser, normalise
from regrow.text.vocabulary import rank_words

Part = Literal["title", "body"]
Array = np.ndarray[Any, np.dtype[Any]]

SENTENCES = pa.schema(
    [
        ("document", pa.int32()),
        ("part", pa.dictionary(pa.int8(), pa.string())),
        ("form", pa.dictionary(pa.int8(), pa.string())),
        ("text", pa.string()),
        ("words", pa.list_(pa.int32())),
    ]
)
WORDS = pa.schema(
    [
        ("word", pa.string()),
        ("count", pa.int64()),
        ("training_count", pa.int64()),
        ("rank", pa.int32()),
    ]
)
MAX_SENTENCES = np.iinfo("int16").max


class SentenceWriter:
    """Writes both files into a folder; they are whole when the writer is left without an error."""

    def __init__(self, out: Path, tokeniser: Tokeniser) -> None:
        self.out = out
        self.tokeniser = tokeniser
        self.numbers: dict[str, int] = {}  # row of words.parquet, by normalised word
        self.raw: dict[str, int] = {}  # the same by the word as it stands
        self.counts = np.zeros(0, dtype="int64")
        self.training_counts = np.zeros(0, dtype="int64")
        self.lengths: dict[tuple[Part, str], list[int]] = {}  # words of each sentence
        self.seen: dict[tuple[Part, str], set[int]] = {}  # different words

    def __enter__(self) -> Self:
        self.parquet = pq.ParquetWriter(
            self.out / "sentences.parquet", SENTENCES, compression="zstd"
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.parquet.close()
        if error is None:
            self._write_words()

    def add(self, documents: Sequence[Document]) -> tuple[list[int], list[int]]:
        """Writes the documents' sentences; for each document how many, and how many words."""
        rows: list[tuple[int, Part, str, str, list[int]]] = []
        training: list[bool] = []
        sentences, words = [], []
        for item in documents:
            before = len(rows)
            rows += self._split(item)
            training += [item.mod_apte != "test"] * (len(rows) - before)
            sentences.append(len(rows) - before)
            words.append(sum(len(row[-1]) for row in rows[before:]))
        columns = list(zip(*rows, strict=True)) or [()] * len(SENTENCES)
        arrays = [pa.array(c, entry.type) for c, entry in zip(columns, SENTENCES, strict=True)]
        self.parquet.write_batch(pa.RecordBatch.from_arrays(arrays, schema=SENTENCES))
        self._count(rows, training)
        return sentences, words

    def _split(self, item: Document) -> Iterator[tuple[int, Part, str, str, list[int]]]:
        parts: tuple[tuple[Part, str], ...] = (("title", item.title), ("body", item.body))
        for part, text in parts:
            # One blank for each run of them: a quote at the start of a line opens like any other.
            text = " ".join(text.split())
            lengths = self.lengths.setdefault((part, item.form), [])
            seen = self.seen.setdefault((part, item.form), set())
            for start, end in self.tokeniser.splitter.spans(text):
                sentence = text[start:end]
                numbers = [self._number(word) for word in self.tokeniser.words(sentence)]
                lengths.append(len(numbers))
                seen.update(numbers)
                yield item.id, part, item.form, sentence, numbers

    def _number(self, word: str) -> int:
        number = self.raw.get(word)
        if number is None:
            number = self.numbers.setdefault(normalise(word), len(self.numbers))
            self.raw[word] = number
        return number

    def _count(self, rows: Sequence[tuple[Any, ...]], training: Sequence[bool]) -> None:
        size = len(self.numbers)
        for name, kept in (("counts", [True] * len(rows)), ("training_counts", training)):
            flat = [
                number for row, keep in zip(rows, kept, strict=True) if keep for number in row[-1]
            ]
            counts = np.bincount(np.array(flat, dtype="int64"), minlength=size)
            old = getattr(self, name)
            counts[: len(old)] += old
            setattr(self, name, counts)

    def _write_words(self) -> None:
        words = list(self.numbers)
        rank = np.empty(len(words), dtype="int32")
        # By what may be trained on, so that the vocabulary knows nothing of the test documents.
        rank[rank_words(words, self.training_counts)] = np.arange(len(words))
        columns = [pa.array(words), self.counts, self.training_counts, rank]
        pq.write_table(pa.table(columns, schema=WORDS), self.out / "words.parquet")
