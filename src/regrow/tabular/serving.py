"""Models of tables where regrow is not installed: the columns of the cleaned table, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regrow.tabular.encoding import encode_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
    numbers = facts["numbers"]
    encoded = encode_columns(frame, numbers, facts["categories"], facts["texts"])
    for n, name in enumerate(numbers):
        if np.isinf(encoded[:, n]).any():
            raise ValueError(f"column {name} has infinite values; leave out what is missing")
    found = frame[[name for name in facts["kept"] if name in frame]].copy()
    return add_answers(found, facts["target"], facts["task"], run(encoded), facts["labels"])


def add_answers(
    found: pd.DataFrame, target: str, task: str, answers: Any, labels: Sequence[str]
) -> pd.DataFrame:
    """Adds the columns of the answers (rows, outputs) to those that identify the rows."""
    column = f"{target}_predicted"
    if task == "regression":
        found[column] = answers[:, 0]
    elif task == "binary":
        found[column] = [labels[int(value >= 0.5)] for value in answers[:, 0]]
        found[f"probability_{labels[1]}"] = answers[:, 0]
    else:
        found[column] = [labels[n] for n in answers.argmax(axis=1)]
        found["probability"] = answers.max(axis=1)
    return found
