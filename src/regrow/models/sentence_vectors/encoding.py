"""Sentences as numbers for a model, their vectors, and the vectors of documents made of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from regrow.models.sentence_vectors.layers import WordTable
from regrow.text.vocabulary import pad
from regrow.training.inference import answer

if TYPE_CHECKING:
    from regrow.models.sentence_vectors.table import Sentences

# A batch is as long as the longest sentence of its group; shorter steps would save little more.
LENGTHS = (8, 14, 20, 26, 32, 40)
BATCH_ROWS = 1024
# The title says what a document is about in fewer words, so it counts beside the whole.
TITLE_WEIGHT = 0.5

Array = np.ndarray[Any, np.dtype[Any]]


def group_by_length(lengths: Array, most: int) -> Iterator[tuple[int, Array]]:
    """Sentences by how many words they have.

    Args:
        lengths: (sentences,).
        most: longer ones are cut there.

    Yields:
        A length, and the rows of the sentences that fit it and no shorter one.
    """
    shortest = 0
    for length in (*(n for n in LENGTHS if n < most), most):
        upper = length if length < most else np.iinfo("int64").max
        rows = np.flatnonzero((lengths > shortest) & (lengths <= upper))
        if len(rows):
            yield length, rows
        shortest = length


def encode_sentences(
    model: keras.Model, ids: Sequence[Array], part: Literal["vector", "topic"]
) -> Array:
    """The vectors of sentences, (sentences, size), float32; zeros for one without words.

    Args:
        model: a published model. One that reads sentences of a fixed length gets them padded to
            that, any other in batches of like length.
        ids: of each sentence's words.
        part: all of a vector, or the part of it that says what the sentence is about.
    """
    encoder = keras.Model(model.inputs[0], model.output[part])
    fixed = model.inputs[0].shape[1]
    most = fixed or get_words(model).length
    lengths = np.array([len(sentence) for sentence in ids], dtype="int64")
    vectors = np.zeros((len(ids), measure_size(model, part)), dtype="float32")
    for length, rows in group_by_length(lengths, most):
        padded = pad([ids[row] for row in rows], fixed or length)
        vectors[rows] = answer(encoder, padded, batch_rows=BATCH_ROWS)
    return vectors


def measure_size(model: keras.Model, part: Literal["vector", "topic"] = "vector") -> int:
    """How many numbers a model's vectors, or that part of them, have."""
    return int(model.output[part].shape[-1])


def get_words(model: keras.Model) -> WordTable:
    """The words that a model knows, and how many of a sentence it reads."""
    table: WordTable = model.get_layer("words")
    return table


def join_sentences(vectors: Array, sentences: Sentences, documents: Array) -> Array:
    """Vectors of documents out of those of their sentences.

    The sum of the sentences' vectors, and beside it the title's at half the weight; both scaled to
    length 1 first.

    Args:
        vectors: (sentences, size).
        sentences: the same sentences; those of other documents are left out.
        documents: ids.

    Returns:
        (documents, 2 * size), float32; zeros for a document without sentences.
    """
    order = np.argsort(documents, kind="stable")
    place = np.minimum(np.searchsorted(documents, sentences.document, sorter=order), len(order) - 1)
    rows = order[place]
    mine = documents[rows] == sentences.document
    parts = []
    for chosen in (mine, mine & sentences.is_title):
        total = np.zeros((len(documents), vectors.shape[1]), dtype="float32")
        np.add.at(total, rows[chosen], vectors[chosen])
        parts.append(scale_to_unit(total))
    return np.concatenate([parts[0], TITLE_WEIGHT * parts[1]], axis=1)


def scale_to_unit(vectors: Array) -> Array:
    """Rows scaled to length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Array = vectors / np.maximum(length, np.finfo("float32").tiny)
    return scaled
