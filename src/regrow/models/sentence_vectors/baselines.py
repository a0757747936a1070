"""Simple ways to the same figures: counted words, principal components, means of word vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.models.sentence_vectors.encoding import get_words, join_sentences
from regrow.models.sentence_vectors.measures import (
    Data,
    Topics,
    measure_topics,
    number_words,
)
from regrow.text.vocabulary import PAD, pad

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

LSA_SIZE = 128
COMPONENT_SENTENCES = 16_384

Array = np.ndarray[Any, np.dtype[Any]]


def measure_counts(documents: pd.DataFrame, data: Data) -> dict[str, Topics]:
    """TF-IDF of title and body with the same linear probe, and its LSA."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = (documents["title"] + "\n" + documents["body"]).set_axis(documents["id"])
    counter = TfidfVectorizer(sublinear_tf=True, min_df=2)
    training = counter.fit_transform(texts[data.labelled.train]).astype("float32")
    test = counter.transform(texts[data.labelled.test]).astype("float32")
    size = min(LSA_SIZE, min(training.shape) - 1)
    components = TruncatedSVD(size, random_state=0)
    return {
        "TF-IDF": measure_topics(training, test, data.labelled, dense=False),
        f"LSA, {size} numbers": measure_topics(
            components.fit_transform(training), components.transform(test), data.labelled
        ),
    }


def measure_mean_words(model: keras.Model, data: Data) -> Topics:
    """A sentence as the mean of its word vectors, and documents made of these as of a model's."""
    rows = data.in_labelled
    part = data.sentences.take(rows)
    table = keras.ops.convert_to_numpy(get_words(model).table)
    ids = number_words(model, part)
    starts = part.offsets[:-1]
    filled = part.lengths > 0
    sums = np.zeros((len(part), table.shape[1]), dtype="float32")
    sums[filled] = np.add.reduceat(table[np.concatenate(ids)], starts[filled], axis=0)
    vectors = sums / np.maximum(part.lengths, 1)[:, np.newaxis]
    return measure_topics(
        join_sentences(vectors, part, data.labelled.train),
        join_sentences(vectors, part, data.labelled.test),
        data.labelled,
    )


def explain_by_components(model: keras.Model, data: Data, sizes: Sequence[int]) -> dict[int, float]:
    """The share of variance that principal components of padded sentences explain.

    The best that any linear autoencoder can do; measured like a model's.

    Args:
        sizes: how many components.
    """
    ids = number_words(model, data.sentences)
    table = keras.ops.convert_to_numpy(get_words(model).table)
    length = get_words(model).length

    def centre(rows: Array, means: Array | None) -> tuple[Array, Array, Array]:
        padded = pad([ids[row] for row in rows], length)
        present = (padded != PAD)[..., np.newaxis]
        vectors = table[padded]
        if means is None:
            means = (vectors * present).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        return (vectors - means) * present, means, present

    known, means, _ = centre(data.draw(data.known, COMPONENT_SENTENCES), None)
    unseen, _, present = centre(data.draw(data.test), means)
    flat = known.reshape(len(known), -1)
    _, axes = np.linalg.eigh(flat.T @ flat)
    total = float(np.square(unseen).sum())
    wide = unseen.reshape(len(unseen), -1)
    found = {}
    for size in sizes:
        main = axes[:, -size:]
        rebuilt = (wide @ main @ main.T).reshape(unseen.shape) * present
        found[size] = 1 - float(np.square(rebuilt - unseen).sum()) / max(total, 1e-12)
    return found
