"""Models of tables where regrow is not installed: the columns of the cleaned table, and answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

# As `regrow.tabular.inputs` finds words; this module is copied without it.
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def describe(layer: Any, columns: Any, inputs: Any) -> dict[str, Any]:
    """How the network's input is coded, and rows of its example.

    Args:
        layer: the model's `TableFeatures`.
        columns: the model's `Columns`.
        inputs: encoded rows, (rows, width).
    """
    kept = [name for name in (columns.id, columns.time) if name]
    coded = [*layer.numbers, *layer.categories, *layer.texts]
    return {
        "target": columns.target,
        "task": columns.task,
        "kept": kept,
        "numbers": list(layer.numbers),
        "categories": layer.categories,
        "texts": layer.texts,
        "labels": list(layer.labels),
        "columns": [
            *({"name": name, "type": "string", "required": False} for name in kept),
            *({"name": name, "type": "double", "required": True} for name in layer.numbers),
            *(
                {"name": name, "type": "string", "required": True}
                for name in coded[len(layer.numbers) :]
            ),
        ],
        "example": [
            [*(str(n) for _ in kept), *_decode(layer, row)] for n, row in enumerate(inputs[:3], 1)
        ],
    }


def _decode(layer: Any, row: Any) -> list[Any]:
    """The columns of a table that are encoded as a row."""
    values: list[Any] = [
        None if np.isnan(value) else float(value) for value in row[: len(layer.numbers)]
    ]
    start = len(values)
    for known in layer.categories.values():
        values.append(known[int(row[start]) - 1] if row[start] else None)
        start += 1
    for words in layer.texts.values():
        counts = row[start : start + len(words)]
        values.append(
            " ".join(w for w, n in zip(words, counts, strict=True) for _ in range(int(n)))
        )
        start += len(words)
    return values


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """The answers beside the columns that identify rows.

    Returns:
        `TARGET_predicted`, and for labels the probability of the predicted one, or of the second of
        two.
    """
    answers, labels = run(_encode(frame, facts)), facts["labels"]
    found = frame[[name for name in facts["kept"] if name in frame]].copy()
    column = f"{facts['target']}_predicted"
    if facts["task"] == "regression":
        found[column] = answers[:, 0]
    elif facts["task"] == "binary":
        found[column] = [labels[int(value >= 0.5)] for value in answers[:, 0]]
        found[f"probability_{labels[1]}"] = answers[:, 0]
    else:
        found[column] = [labels[n] for n in answers.argmax(axis=1)]
        found["probability"] = answers.max(axis=1)
    return found


def _encode(frame: pd.DataFrame, facts: dict[str, Any]) -> Any:
    parts = []
    for name in facts["numbers"]:
        values = frame[name].to_numpy(dtype="float32", na_value=np.nan)
        if np.isinf(values).any():
            raise ValueError(f"column {name} has infinite values; leave out what is missing")
        parts.append(values[:, np.newaxis])
    for name, known in facts["categories"].items():
        codes = {value: code for code, value in enumerate(known, 1)}
        coded = frame[name].astype("string").map(codes).fillna(0)
        parts.append(coded.to_numpy(dtype="float32")[:, np.newaxis])
    for name, words in facts["texts"].items():
        places = {word: n for n, word in enumerate(words)}
        counts = np.zeros((len(frame), len(words)), dtype="float32")
        for row, text in enumerate(frame[name].astype("string").fillna("")):
            for word in WORD.findall(text.lower()):
                if word in places:
                    counts[row, places[word]] += 1
        parts.append(counts)
    return np.concatenate(parts, axis=1)
