"""Sentences as counted words: what both memory networks make their vectors from."""

from __future__ import annotations

from typing import Any

from keras import ops


def count_words(ids: Any, vocabulary_size: int, *, position_encoding: bool) -> Any:
    """Sentences as weighted counts of their words, so that embedding them is one product.

    With position encoding, word j of J in a sentence counts `1 - j/J` in the first half of the
    columns and `1 - 2j/J` in the second: the encoding's weight in dimension k of d is the first
    less k/d of the second (Sukhbaatar et al. 2015, arXiv:1503.08895, section 4.1). Without, each
    word counts 1 and the second half is missing.

    Args:
        ids: (..., words), whole numbers; 0 is padding at a sentence's end, words are 1 and up.
        vocabulary_size: how many words there are.
        position_encoding: whether the order of words counts.

    Returns:
        (..., vocabulary_size) or (..., 2 * vocabulary_size), float32.
    """
    known = ops.arange(1, vocabulary_size + 1, dtype="int32")
    hits = ops.cast(ops.expand_dims(ops.cast(ids, "int32"), -1) == known, "float32")
    if not position_encoding:
        return ops.sum(hits, axis=-2)
    lengths = ops.sum(ops.cast(ids > 0, "float32"), axis=-1, keepdims=True)
    places = ops.arange(1, ids.shape[-1] + 1, dtype="float32") / ops.maximum(lengths, 1.0)
    weights = ops.stack([1 - places, 1 - 2 * places], axis=-2)  # (..., 2, words)
    counts = ops.matmul(weights, hits)  # (..., 2, vocabulary)
    return ops.reshape(counts, (*ops.shape(ids)[:-1], 2 * vocabulary_size))


def embed_counts(counts: Any, embedding: Any) -> Any:
    """The vectors (..., size) of counted sentences, for an embedding (vocabulary, size)."""
    vocabulary, size = embedding.shape
    if counts.shape[-1] == vocabulary:
        return ops.matmul(counts, embedding)
    slope = ops.arange(1, size + 1, dtype=embedding.dtype) / size
    return ops.matmul(counts, ops.concatenate([embedding, -embedding * slope], axis=0))
