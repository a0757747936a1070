"""The sentences of the corpus that are nearest to others, from vectors kept in a byte a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regrow.models.sentence_vectors.encoding import scale_to_unit

BLOCK_ROWS = 8192
FILE = "sentences.npy"

Array = np.ndarray[Any, np.dtype[Any]]


def write_index(path: Path, vectors: Array) -> None:
    """Writes the directions of vectors (sentences, size) as whole numbers from -127 to 127.

    That is a quarter of their size, and moves a cosine by less than a thousandth or two.
    """
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), np.finfo("float32").tiny)
    np.save(path, np.round(vectors / largest * 127).astype("int8"))


@dataclass(frozen=True)
class Index:
    """Vectors to look in.

    Attributes:
        vectors: (sentences, size), int8, read from disk as they are needed.
    """

    vectors: Array

    @classmethod
    def open(cls, path: Path) -> Index:
        """The index in a file that `write_index` wrote."""
        return cls(np.load(path, mmap_mode="r", allow_pickle=False))

    def find(self, wanted: Array, count: int) -> tuple[Array, Array]:
        """The nearest rows by cosine.

        Args:
            wanted: (queries, size).
            count: how many for each.

        Returns:
            Rows (queries, count), the nearest first, and their cosines.
        """
        unit = scale_to_unit(np.asarray(wanted, dtype="float32"))
        likeness = np.concatenate(
            [
                unit @ scale_to_unit(self.vectors[start : start + BLOCK_ROWS].astype("float32")).T
                for start in range(0, len(self.vectors), BLOCK_ROWS)
            ],
            axis=1,
        )
        count = min(count, likeness.shape[1])
        rows = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(likeness, rows, axis=1), axis=1, kind="stable")
        rows = np.take_along_axis(rows, order, axis=1)
        return rows, np.take_along_axis(likeness, rows, axis=1)
