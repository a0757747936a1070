"""Pairs of digits of one split, half of them of the same digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regrow.vision.digits import Array, Digits


@dataclass(frozen=True)
class Pairs:
    """Pairs by the positions of their members.

    Attributes:
        first: (pairs,), int64.
        second: (pairs,), int64, another position than `first`.
        same: (pairs, 1), float32: 1 for the same digit, 0 for different ones.
    """

    first: Array
    second: Array
    same: Array

    def __len__(self) -> int:
        return len(self.same)

    def take(self, pixels: Array) -> dict[str, Array]:
        """The model's inputs: both members' pictures, (pairs, 8, 8, 1) each."""
        return {"first": pixels[self.first], "second": pixels[self.second]}


def make_pairs(digits: Digits, count: int, seed: int) -> Pairs:
    """Draws `count` pairs; in every second one both show the same digit.

    All are within the digits given, so pairs of one split share no picture with those of another.

    Raises:
        ValueError: a digit is there only once, so it has no partner.
    """
    chance = np.random.default_rng(seed)
    order = np.argsort(digits.labels, kind="stable")
    classes, starts, sizes = np.unique(digits.labels[order], return_index=True, return_counts=True)
    if len(classes) < 2 or sizes.min() < 2:
        raise ValueError(f"pairs require two of each digit; {classes} have {sizes} pictures")
    same = np.arange(count) % 2 == 0
    one = chance.integers(len(classes), size=count)
    # Another class, and another member: a step of at least one around the circle.
    other = (one + chance.integers(1, len(classes), size=count)) % len(classes)
    member = chance.integers(sizes[one])
    step = chance.integers(1, sizes[one])
    partner = np.where(same, (member + step) % sizes[one], chance.integers(sizes[other]))
    return Pairs(
        first=order[starts[one] + member],
        second=order[starts[np.where(same, one, other)] + partner],
        same=same[:, np.newaxis].astype("float32"),
    )


def find_neighbours(known: Array, new: Array, count: int) -> Array:
    """The positions in `known` of the nearest vectors to each of `new`, (len(new), count)."""
    from sklearn.neighbors import NearestNeighbors

    found: Array = (
        NearestNeighbors(n_neighbors=count).fit(known).kneighbors(new, return_distance=False)
    )
    return found
