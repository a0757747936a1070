"""Reuters-21578's data: from the SGML files to clean tables, and what must hold of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError
from regrow.models.sentence_vectors.documents import (
    DIMENSIONS,
    SCHEMA,
    SPLITS,
    Document,
    find_shared_topics,
    make_batch,
)
from regrow.models.sentence_vectors.reader import Reading, read_documents
from regrow.models.sentence_vectors.sentences import MAX_SENTENCES, SentenceWriter
from regrow.text.splitter import PUNKT_FILES, SentenceSplitter, load_punkt, train_punkt
from regrow.text.tokens import Tokeniser
from regrow.text.vectors import copy_glove

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from nltk.tokenize.punkt import PunktParameters

    from regrow.store.context import StageContext
    from regrow.store.entry import Entry

SOURCE = "reuters-21578"
FILE = re.compile(r"reut2-\d{3}\.sgm")
GLOVE_FILE = "glove.6B.50d.txt"
PUNKT_FOLDER = "punkt_tab/english"
SPLIT_COLUMNS = ("mod_apte", "mod_lewis", "mod_hayes")
DERIVED = ("sentences", "words")
COLUMNS = (*SCHEMA.names, *DERIVED)
BATCH_DOCUMENTS = 1000


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes `table.parquet`, one row a document, and its sentences and words beside it.

    The columns are `documents.SCHEMA` and `DERIVED`: how many sentences title and body have, and
    how many words these. `sentences.py` says what the two other files hold. `abbreviations.txt` has
    those of the model that split the sentences, so that new ones are read alike; `glove.txt`, where
    GloVe's file is there, has the vectors of the corpus's words.

    Returns:
        Facts: documents by form and by split, topics, sentences and words of several readings, and
        which model split the sentences.

    Raises:
        DataError: a file is not as Reuters-21578's are.
    """
    import pyarrow.parquet as pq

    download = ctx.inputs["download"]
    parameters, origin = _choose_punkt(download)
    facts, counts = Reading(), _Counts()
    with (
        pq.ParquetWriter(ctx.out / "table.parquet", _schema(), compression="zstd") as table,
        SentenceWriter(ctx.out, Tokeniser(SentenceSplitter(parameters))) as writer,
    ):
        for documents in _read_batches(download, facts):
            table.write_batch(_derive(documents, *writer.add(documents)))
            counts.add(documents)
            ctx.progress("clean documents", len(counts.splits), 0)
    _write_lines(ctx.out / "abbreviations.txt", sorted(parameters.abbrev_types))
    return {
        **counts.summarise(),
        "dates_without_time": facts.dates_without_time,
        "control_characters_removed": facts.control_characters,
        "sentence_model": origin,
        "words_with_glove_vectors": _copy_vectors(ctx, writer),
        "readings": _summarise_readings(writer),
    }


class _Counts:
    """Documents by form and by split, and their topics."""

    def __init__(self) -> None:
        self.topics: list[tuple[str, ...]] = []
        self.splits: list[str] = []
        self._documents: Counter[tuple[str, str]] = Counter()

    def add(self, documents: Iterable[Document]) -> None:
        for item in documents:
            self.topics.append(item.topics)
            self.splits.append(item.mod_apte)
            self._documents.update((name, getattr(item, name)) for name in ("form", *SPLIT_COLUMNS))

    def summarise(self) -> dict[str, Any]:
        shared = find_shared_topics(self.topics, self.splits)
        documents = zip(self.topics, self.splits, strict=True)
        kept = Counter(split for names, split in documents if not set(shared).isdisjoint(names))
        return {
            "rows": len(self.splits),
            "columns": len(COLUMNS),
            "documents_by_form": _pick(self._documents, "form", ("NORM", "BRIEF", "UNPROC")),
            **{name: _pick(self._documents, name, SPLITS) for name in SPLIT_COLUMNS},
            "topics": len({name for names in self.topics for name in names}),
            "shared_topics": {"topics": len(shared), "train": kept["train"], "test": kept["test"]},
        }


def _copy_vectors(ctx: StageContext, writer: SentenceWriter) -> int | None:
    """How many words of the corpus GloVe has vectors for, which are copied; None without it."""
    download = ctx.inputs["download"]
    if GLOVE_FILE not in download.manifest.files:
        return None
    ctx.progress("read GloVe's vectors", 0, 0)
    out = ctx.out / "glove.txt"
    return copy_glove(download.file(GLOVE_FILE), writer.numbers, out, dimensions=DIMENSIONS)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _choose_punkt(download: Entry) -> tuple[PunktParameters, str]:
    """The model that finds sentences, and where it is from."""
    names = [f"{PUNKT_FOLDER}/{name}" for name in PUNKT_FILES]
    if all(name in download.manifest.files for name in names):
        return load_punkt(download.file(names[0]).parent), "NLTK's punkt_tab, English"
    batches = _read_batches(download, Reading())
    bodies = (item.body for documents in batches for item in documents if item.form == "NORM")
    return train_punkt(bodies), "trained on the bodies, because NLTK's punkt_tab was not available"


def _read_batches(download: Entry, facts: Reading) -> Iterator[list[Document]]:
    origin = next(s["origin"] for s in download.facts["sources"] if s["name"] == SOURCE)
    names = sorted(name for name in download.manifest.files if FILE.fullmatch(name))
    if not names:
        raise DataError(
            "the data contains no file with documents",
            where=origin,
            received=", ".join(download.manifest.files) or "no file",
            expected="files such as reut2-000.sgm",
            remedies=["run with the real data", f"--source {SOURCE}=PATH: use your own archive"],
        )
    waiting: list[Document] = []
    for name in names:
        path = download.file(name)
        for document in read_documents(path, facts):
            waiting.append(document)
            if len(waiting) == BATCH_DOCUMENTS:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([*SCHEMA, pa.field("sentences", pa.int16()), pa.field("words", pa.int32())])


def _derive(documents: list[Document], sentences: list[int], words: list[int]) -> pa.RecordBatch:
    import pyarrow as pa

    schema = _schema()
    counts = [
        pa.array(np.minimum(sentences, MAX_SENTENCES), pa.int16()),
        pa.array(words, pa.int32()),
    ]
    return pa.RecordBatch.from_arrays([*make_batch(documents).columns, *counts], schema=schema)


def _pick(counts: Counter[tuple[str, str]], name: str, values: tuple[str, ...]) -> dict[str, int]:
    return {value: counts[name, value] for value in values}


def _summarise_readings(writer: SentenceWriter) -> dict[str, dict[str, float]]:
    """How many sentences there are, and how long, over some choices of text."""
    choices: dict[str, Callable[[str, str], bool]] = {
        "bodies": lambda part, form: part == "body" and form == "NORM",
        "bodies, and text outside of title and body": lambda part, _: part == "body",
        "titles and bodies": lambda part, form: part == "title" or form == "NORM",
        "all text": lambda _part, _form: True,
    }
    found = {}
    for name, chosen in choices.items():
        keys = [key for key in writer.lengths if chosen(*key)]
        lengths = np.array([length for key in keys for length in writer.lengths[key]])
        found[name] = {
            "sentences": len(lengths),
            "words": int(lengths.sum()),
            "different_words": len(set().union(*(writer.seen[key] for key in keys))),
            "mean_words": round(float(lengths.mean()), 2) if len(lengths) else 0.0,
            "median_words": float(np.median(lengths)) if len(lengths) else 0.0,
        }
    return found
