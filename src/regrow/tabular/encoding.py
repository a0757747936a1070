"""Cleaned columns as the numbers that a network of a table takes.

This module is copied into registered versions: it imports libraries only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def encode_columns(
    frame: pd.DataFrame,
    numbers: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    texts: Mapping[str, Sequence[str]],
) -> Any:
    """Numbers as they are, a code for each category (0: unknown), and how often each word occurs.

    Args:
        frame: has all of these columns.
        categories: the known values of each column.
        texts: the counted words of each column.

    Returns:
        (rows, width), float32; a missing number is NaN.
    """
    width = len(numbers) + len(categories) + sum(map(len, texts.values()))
    out = np.zeros((len(frame), width), dtype="float32")
    for n, name in enumerate(numbers):
        out[:, n] = frame[name].to_numpy(dtype="float32", na_value=np.nan)
    start = len(numbers)
    for n, (name, values) in enumerate(categories.items(), start):
        codes = {value: code for code, value in enumerate(values, 1)}
        out[:, n] = frame[name].astype("string").map(codes).fillna(0).to_numpy(dtype="float32")
    start += len(categories)
    for name, words in texts.items():
        places = {word: start + n for n, word in enumerate(words)}
        for row, text in enumerate(frame[name].astype("string").fillna("")):
            for word in WORD.findall(text.lower()):
                if (place := places.get(word)) is not None:
                    out[row, place] += 1
        start += len(words)
    return out
