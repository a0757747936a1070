"""Vectors of a person's sentences, and what in the corpus is nearest to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError
from regrow.base.files import atomic_write
from regrow.models.sentence_vectors.encoding import encode_sentences, get_words, measure_size
from regrow.models.sentence_vectors.neighbours import FILE, Index
from regrow.models.sentence_vectors.table import Sentences, read_documents, read_sentences
from regrow.text.lines import split_lines
from regrow.text.splitter import SentenceSplitter, make_punkt
from regrow.text.tokens import Tokeniser, normalise
from regrow.text.vocabulary import UNK, Vocabulary

if TYPE_CHECKING:
    import pandas as pd

# Of Reuters' sentences the longest has 2,800 bytes.
MAX_LINE_BYTES = 100_000
BATCH_LINES = 4096
# So many of the nearest are looked at for some with different words: news repeats itself.
REPETITIONS = 20

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Line:
    """A line of a text file: one sentence."""

    number: int
    text: str


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a UTF-8 file that are not empty, one after another.

    Raises:
        DataError: a line is too long or not text in UTF-8; names the line and the file's byte.
    """
    offset = 0
    with path.open("rb") as stream:
        for number, raw in enumerate(split_lines(stream, MAX_LINE_BYTES + 1), 1):
            where = f"{path}, line {number}, byte {offset}"
            if len(raw) > MAX_LINE_BYTES:
                raise DataError(
                    "the line is too long for a single sentence",
                    where=where,
                    received=f"more than {MAX_LINE_BYTES:,} bytes: {raw[:40]!r}…",
                    expected="one sentence per line",
                    remedies=["split the text into sentences, one per line"],
                )
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise DataError(
                    "the file is not UTF-8 text",
                    where=f"{path}, line {number}, byte {offset + error.start}",
                    received=f"byte 0x{raw[error.start]:02x} in {raw[:40]!r}",
                    expected="UTF-8 text with one sentence per line",
                    remedies=["if it is Latin-1, convert it: iconv -f latin1 -t utf-8 FILE > NEW"],
                ) from error
            if "\0" in text:
                raise DataError(
                    "the file is not text",
                    where=f"{path}, line {number}, byte {offset + raw.index(0)}",
                    received="byte 0x00",
                    expected="UTF-8 text with one sentence per line",
                )
            offset += len(raw)
            if text:
                yield Line(number, text)


class SentenceReader:
    """Turns sentences into vectors as a model was taught to read them.

    Args:
        model: a published model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        words = get_words(model)
        self.size = measure_size(model)
        self._vocabulary = Vocabulary(tuple(words.words))
        self._tokeniser = Tokeniser(SentenceSplitter(make_punkt(words.abbreviations)))

    def number(self, sentence: str) -> list[int]:
        """The ids of a sentence's words."""
        return self._vocabulary.encode(map(normalise, self._tokeniser.words(sentence)))

    def encode(self, sentences: Sequence[str]) -> tuple[Array, Array]:
        """Vectors (sentences, size), float32, and how many words of each are not known."""
        ids = [np.array(self.number(sentence), dtype="int32") for sentence in sentences]
        unknown = np.array([(found == UNK).sum() for found in ids], dtype="int32")
        return encode_sentences(self.model, ids, "vector"), unknown


def embed(model: Any, path: Path, out: Path) -> int:
    """Writes the vectors of a file's sentences, one a line, to a Parquet file, whole or not at all.

    Its columns are `line` (from 1; empty ones are left out), `text`, `unknown_words` and `vector`.
    No more than some thousand lines are in memory at once.

    Returns:
        How many sentences there were.

    Raises:
        DataError: the file has no sentence, or a line cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = SentenceReader(model)
    columns = {"line": pa.int64(), "text": pa.string(), "unknown_words": pa.int32()}
    schema = pa.schema({**columns, "vector": pa.list_(pa.float32(), reader.size)})
    lines = read_lines(path)
    count = 0
    with atomic_write(out) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            while batch := list(islice(lines, BATCH_LINES)):
                numbers = [line.number for line in batch]
                texts = [line.text for line in batch]
                vectors, unknown = reader.encode(texts)
                flat = pa.FixedSizeListArray.from_arrays(vectors.ravel(), reader.size)
                arrays = [pa.array(numbers, pa.int64()), pa.array(texts), pa.array(unknown), flat]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                count += len(batch)
        if not count:
            raise DataError(
                "the file contains no sentences", where=str(path), expected="one sentence per line"
            )
    return count


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """The vectors of the sentences of text files, one a line.

    Returns:
        A frame with `file`, `line`, `text`, `unknown_words` and `vector` (a list of numbers).

    Raises:
        DataError: a line cannot be read.
    """
    import pandas as pd

    reader = SentenceReader(model)
    rows = [(str(path), line.number, line.text) for path in paths for line in read_lines(path)]
    frame = pd.DataFrame(rows, columns=["file", "line", "text"])
    vectors, unknown = reader.encode(frame["text"].tolist())
    return frame.assign(unknown_words=unknown, vector=vectors.tolist())


@dataclass(frozen=True)
class Similar:
    """A sentence of the corpus that is near to another one.

    Attributes:
        cosine: of their vectors.
        text: as it was written.
        document: its document's id.
        date: when that was sent, ISO 8601.
        topics: of that document.
    """

    cosine: float
    text: str
    document: int
    date: str
    topics: tuple[str, ...]


def find_similar(
    model: Any, sentence: str, clean: Path, evaluated: Path, count: int
) -> list[Similar]:
    """The sentences of the corpus that are nearest in what they are about, each wording once.

    Args:
        clean: the folder of the clean tables.
        evaluated: the folder of this model's evaluation of them.

    Raises:
        DataError: the sentence contains no known words that indicate its topic.
    """
    reader = SentenceReader(model)
    ids = reader.number(sentence)
    about = encode_sentences(model, [np.array(ids, dtype="int32")], "topic")
    if all(number == UNK for number in ids) or not about.any():
        raise DataError(
            "the sentence contains no known words that indicate its topic",
            received=repr(sentence[:80]),
            expected="English words that occur in news from 1987",
        )
    index, sentences = Index.open(evaluated / FILE), read_sentences(clean)
    documents = read_documents(clean / "table.parquet").set_index("id")
    looked_at = count * REPETITIONS
    rows, cosines = index.find(about, looked_at)
    while looked_at < len(sentences) and _count_wordings(sentences, rows[0]) < count:
        looked_at *= REPETITIONS
        rows, cosines = index.find(about, looked_at)
    found: dict[str, Similar] = {}
    for row, cosine in zip(rows[0].tolist(), cosines[0].tolist(), strict=True):
        text = sentences.texts[row].as_py()
        document = int(sentences.document[row])
        of = documents.loc[document]
        similar = Similar(cosine, text, document, of["date"].isoformat(), tuple(of["topics"]))
        found.setdefault(text.lower(), similar)
        if len(found) == count:
            break
    return list(found.values())


def _count_wordings(sentences: Sentences, rows: Array) -> int:
    return len({text.lower() for text in sentences.texts.take(rows).to_pylist()})
