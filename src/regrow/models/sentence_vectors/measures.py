"""How good a model's vectors are: what they rebuild, what they know of topics, what they are near.

Used by the gate and by the evaluation alike, on ModApte's test documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.models.sentence_vectors.encoding import (
    encode_sentences,
    get_words,
    group_by_length,
    join_sentences,
    measure_size,
    scale_to_unit,
)
from regrow.models.sentence_vectors.probe import Probe, fit_probe, measure_f1, measure_precision
from regrow.models.sentence_vectors.table import (
    Labelled,
    Sentences,
    read_documents,
    read_labelled,
    read_sentences,
)
from regrow.text.vocabulary import PAD, Vocabulary, pad
from regrow.training.inference import answer

# Enough for a share of variance to within half a percent.
REBUILT_SENTENCES = 4096
CANDIDATES = 512
LEAST_WORDS = 2

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Data:
    """The clean tables, for measuring.

    Attributes:
        sentences: all.
        labelled: the documents of ModApte-90 and their topics.
        test: ids of ModApte's test documents, with topics or without.
        known: ids of the others.
    """

    sentences: Sentences
    labelled: Labelled
    test: Array
    known: Array

    @classmethod
    def read(cls, folder: Path) -> Data:
        """Reads what cleaning left in a folder."""
        frame = read_documents(folder / "table.parquet")
        is_test = frame["mod_apte"] == "test"
        ids = frame["id"].to_numpy()
        return cls(
            read_sentences(folder),
            read_labelled(folder / "table.parquet"),
            ids[is_test],
            ids[~is_test],
        )

    @cached_property
    def in_labelled(self) -> Array:
        """Rows of the sentences of documents with topics."""
        ids = np.concatenate([self.labelled.train, self.labelled.test])
        return np.flatnonzero(np.isin(self.sentences.document, ids))

    def draw(self, documents: Array, count: int = REBUILT_SENTENCES) -> Array:
        """Rows of some sentences of these documents, the same each time, in no order."""
        mine = np.isin(self.sentences.document, documents)
        rows = np.flatnonzero(mine & (self.sentences.lengths >= LEAST_WORDS))
        return np.random.default_rng(0).permutation(rows)[:count]


def number_words(model: keras.Model, sentences: Sentences) -> list[Array]:
    """The sentences as ids of the words that this model knows."""
    numbers = Vocabulary(tuple(get_words(model).words)).encode(sentences.ranked)
    ids = np.array(numbers, dtype="int32")[sentences.ranks]
    return np.split(ids, sentences.offsets[1:-1])


@dataclass(frozen=True)
class Rebuilt:
    """What becomes of sentences that are made to vectors and back.

    Attributes:
        figures: `explained_variance`, `cosine`, `mismatched_cosine`, `first_of_512`, `mean_rank`.
        cosines: of each sentence's vector and that of its reconstruction, (sentences,).
        mismatched: the same for two different sentences, (sentences,).
    """

    figures: dict[str, float]
    cosines: Array
    mismatched: Array


def measure_rebuilding(model: keras.Model, data: Data) -> Rebuilt:
    """How much of test sentences comes back.

    The share of variance is 1 - sum |rebuilt - x|^2 / sum |x - mean of its place|^2 over all words
    of all sentences; the means are those of sentences that may be learned from, and padding is left
    out. A rank is the place of a sentence's own vector among those of 512 sentences, by their
    cosine with the vector of its reconstruction; 1 is best. Encoded again are the words nearest to
    what was rebuilt; by the chapter's network, which reads vectors, these themselves.
    """
    ids = number_words(model, data.sentences)
    means = _mean_by_place(model, [ids[row] for row in data.draw(data.known)])
    rows = data.draw(data.test)
    first, second = np.empty((2, len(rows), measure_size(model)), dtype="float32")
    error = total = 0.0
    for chosen, padded in _padded(model, [ids[row] for row in rows]):
        found = answer(model, padded, batch_rows=512)
        table = keras.ops.convert_to_numpy(get_words(model).table)
        vectors, present = table[padded], (padded != PAD)[..., np.newaxis]
        error += float((np.square(found["reconstruction"] - vectors) * present).sum())
        total += float((np.square(vectors - means[: padded.shape[1]]) * present).sum())
        first[chosen] = found["vector"]
        second[chosen] = _encode_again(model, found["reconstruction"], padded)
    first, second = scale_to_unit(first), scale_to_unit(second)
    cosines = (first * second).sum(axis=1)
    mismatched = (first * np.roll(second, 1, axis=0)).sum(axis=1)
    likeness = second[:CANDIDATES] @ first[:CANDIDATES].T
    ranks = 1 + (likeness > np.diag(likeness)[:, np.newaxis]).sum(axis=1)
    return Rebuilt(
        {
            "explained_variance": 1 - error / max(total, 1e-12),
            "cosine": float(cosines.mean()),
            "mismatched_cosine": float(mismatched.mean()),
            "first_of_512": float((ranks == 1).mean()),
            "mean_rank": float(ranks.mean()),
        },
        cosines,
        mismatched,
    )


def _padded(model: keras.Model, ids: list[Array]) -> list[tuple[Array, Array]]:
    fixed = model.inputs[0].shape[1]
    lengths = np.array([len(sentence) for sentence in ids])
    return [
        (rows, pad([ids[row] for row in rows], fixed or length))
        for length, rows in group_by_length(lengths, fixed or get_words(model).length)
    ]


def _mean_by_place(model: keras.Model, ids: list[Array]) -> Array:
    table = keras.ops.convert_to_numpy(get_words(model).table)
    padded = pad(ids, get_words(model).length)
    present = (padded != PAD)[..., np.newaxis]
    means: Array = (table[padded] * present).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    return means


def _encode_again(model: keras.Model, rebuilt: Array, ids: Array) -> Array:
    """The vectors of what was rebuilt from sentences of these ids."""
    if model.inputs[0].shape[1] is not None:
        found: Array = keras.ops.convert_to_numpy(model.get_layer("encoder")(rebuilt))
        return found
    table = keras.ops.convert_to_numpy(get_words(model).table)
    # The nearest word has the largest x.w - |w|^2 / 2.
    half = np.square(table).sum(axis=1) / 2
    half[PAD] = np.inf
    nearest = [np.argmax(sentence @ table.T - half, axis=1) for sentence in rebuilt]
    words = np.where(ids != PAD, np.stack(nearest), PAD).astype("int32")
    return encode_sentences(model, list(words), "vector")


@dataclass(frozen=True)
class Topics:
    """What vectors of documents know of topics.

    Attributes:
        figures: `micro_f1` of a linear probe and `precision_at_100`.
        probe: fitted on the training documents.
        said: which topics it says that the test documents have.
    """

    figures: dict[str, float]
    probe: Probe
    said: Array


def measure_topics(training: Any, test: Any, labelled: Labelled, *, dense: bool = True) -> Topics:
    """Probe and retrieval for vectors of the documents of ModApte-90.

    Args:
        training: (documents, features), of `labelled.train`.
        test: the same of `labelled.test`.
        dense: whether the training mean is taken off first, and vectors are scaled to length 1;
            sparse ones stay as they are.
    """
    if dense:
        mean = training.mean(axis=0)
        training, test = scale_to_unit(training - mean), scale_to_unit(test - mean)
    probe = fit_probe(training, labelled.train_topics)
    said = probe.predict(test)
    figures = {"micro_f1": measure_f1(labelled.test_topics, said)}
    if dense:
        figures["precision_at_100"] = measure_precision(
            test, labelled.test_topics, training, labelled.train_topics
        )
    return Topics(figures, probe, said)


def encode_documents(
    model: keras.Model, data: Data, vectors: Array | None = None
) -> tuple[Array, Array]:
    """The vectors of the training and the test documents of ModApte-90.

    Args:
        vectors: what all sentences are about, if it is known already.
    """
    rows = data.in_labelled
    if vectors is None:
        ids = number_words(model, data.sentences)
        mine = encode_sentences(model, [ids[row] for row in rows], "topic")
    else:
        mine = vectors[rows]
    part = data.sentences.take(rows)
    training, test = (
        join_sentences(mine, part, ids) for ids in (data.labelled.train, data.labelled.test)
    )
    return training, test
