"""Vocabularies: the words of a model by their rank, and sentences as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

PAD, UNK = 0, 1
"""The ids of padding and of all words outside the vocabulary."""
SPECIAL = ("<pad>", "<unk>")

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Vocabulary:
    """Words by id.

    Attributes:
        words: by id; `<pad>` and `<unk>` first, then the most frequent word and so on.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, ranked: Iterable[str], size: int) -> Vocabulary:
        """PAD, UNK and the first of some ranked words, `size` in all at most."""
        return cls((*SPECIAL, *ranked)[:size])

    @cached_property
    def ids(self) -> dict[str, int]:
        """Ids by word."""
        return {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, words: Iterable[str]) -> list[int]:
        """The ids of normalised words, UNK for those that it lacks."""
        ids = self.ids
        return [ids.get(word, UNK) for word in words]

    def encode_ranks(self, ranks: Array) -> Array:
        """The ids of words that are given by their rank, 0 for the most frequent; any shape."""
        ids = ranks + len(SPECIAL)
        return np.where(ids < len(self), ids, UNK).astype("int32")

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The words behind ids, padding left out."""
        return [self.words[number] for number in ids if number != PAD]


def rank_words(words: Sequence[str], counts: Array) -> Array:
    """The order of the words, the most frequent first, and by their letters where counts are equal.

    Args:
        words: all different.
        counts: (words,).

    Returns:
        (words,), int64: indices into `words`.
    """
    alphabetic = np.empty(len(words), dtype="int64")
    alphabetic[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
    return np.lexsort((alphabetic, -np.asarray(counts)))


def pad(sentences: Sequence[Sequence[int] | Array], length: int) -> Array:
    """Sentences of ids as rows of one array (sentences, length), int32: cut, or filled with PAD."""
    rows = np.full((len(sentences), length), PAD, dtype="int32")
    for row, sentence in zip(rows, sentences, strict=True):
        kept = sentence[:length]
        row[: len(kept)] = kept
    return rows
