"""From the rows of a table to the input of a network, and back from its outputs to labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.base.errors import DataError
from regrow.layers.table_features import TableFeatures
from regrow.tabular.encoding import WORD, encode_columns
from regrow.training.inference import answer

if TYPE_CHECKING:
    import pandas as pd

    from regrow.tabular.model import Columns, Task

# Values of a category beyond the most frequent ones count as unknown, as do words of texts.
MAX_VALUES = 200
MAX_WORDS = 2000
# A value or word that is rarer cannot be learned from.
MIN_COUNT = 2
WIDTHS = (64, 32)

Array = np.ndarray


@dataclass(frozen=True)
class TableInputs:
    """What a network is built from.

    Attributes:
        features: the network's input, (batch, width): see `TableFeatures`.
        task: "regression", "binary" or "classes".
        labels: the target's values; empty for a regression.
    """

    features: Any
    task: Task
    labels: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """The number of outputs: one, or one for each of several classes."""
        return len(self.labels) if self.task == "classes" else 1

    def head(self, x: Any) -> Any:
        """The last layer: a number, a probability, or one for each class."""
        activation = {"regression": None, "binary": "sigmoid", "classes": "softmax"}[self.task]
        return keras.layers.Dense(self.outputs, activation=activation, name="answer")(x)


def default_network(inputs: TableInputs) -> keras.Model:
    """Two hidden layers beside a linear path, which alone is often good."""
    x = inputs.features
    for width in WIDTHS:
        x = keras.layers.Dense(width, activation="relu")(x)
        x = keras.layers.Dropout(0.1)(x)
    x = keras.layers.Concatenate()([x, inputs.features])
    return keras.Model(inputs.features, inputs.head(x))


def make_layer(frame: pd.DataFrame, columns: Columns) -> TableFeatures:
    """The layer for a table, fitted to its training rows."""
    layer = TableFeatures(
        numbers=columns.numbers,
        categories={name: _most_frequent(frame[name]) for name in columns.categories},
        texts={name: _find_words(frame[name]) for name in columns.texts},
        labels=list_labels(frame, columns),
        name="table",
    )
    layer.build((None, layer.columns))
    layer.adapt(encode(frame, layer))
    return layer


def list_labels(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """The values of the target as text, in order; none for a regression.

    Raises:
        DataError: fewer than two values, or not two for a binary target.
    """
    if columns.task == "regression":
        return []
    found = frame[columns.target].dropna().unique().tolist()
    labels = sorted({str(value) for value in found}, key=_in_order)
    expected = "2" if columns.task == "binary" else "at least 2"
    if len(labels) < 2 or (columns.task == "binary" and len(labels) > 2):
        shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
        raise DataError(
            f"the target {columns.target!r} cannot be used for the task {columns.task}",
            where=f"the training rows, column {columns.target}",
            received=f"{len(labels)} different values: {shown}",
            expected=f"{expected} different values",
            remedies=[
                'task="classes" for more than two values, task="regression" for numbers',
                "use more rows or another split if a value is missing by chance",
            ],
        )
    return labels


def encode(frame: pd.DataFrame, layer: TableFeatures) -> Array:
    """The rows of a table as the layer's input, (rows, columns), float32.

    Raises:
        DataError: the table lacks a column.
    """
    wanted = [*layer.numbers, *layer.categories, *layer.texts]
    if missing := [name for name in wanted if name not in frame.columns]:
        raise DataError(
            "the table does not contain all columns that the model needs",
            where="the input table",
            received=", ".join(map(str, frame.columns)),
            expected=", ".join(missing),
        )
    found: Array = encode_columns(frame, layer.numbers, layer.categories, layer.texts)
    return found


def compute_features(layer: TableFeatures, rows: Array) -> Array:
    """The features (rows, width) of encoded rows (rows, columns), in batches."""
    inputs = keras.Input((layer.columns,), name="rows")
    return np.asarray(answer(keras.Model(inputs, layer(inputs)), rows))


def encode_target(frame: pd.DataFrame, columns: Columns, labels: list[str]) -> Array:
    """The target, (rows,): numbers, or the number of each row's label; -1 for one not known."""
    if columns.task == "regression":
        return np.asarray(frame[columns.target], dtype="float64")
    codes = {label: code for code, label in enumerate(labels)}
    found = frame[columns.target].astype("string").map(codes)
    return np.asarray(found.fillna(-1), dtype="int64")


def find_layer(model: keras.Model) -> TableFeatures:
    """The layer of a published model that says how its input is coded.

    Raises:
        DataError: the model has none.
    """
    for layer in model.layers:
        if isinstance(layer, TableFeatures):
            return layer
    raise DataError(
        "the model does not contain the encoding of its input",
        received=", ".join(layer.name for layer in model.layers),
        expected="a layer of type TableFeatures",
    )


def _most_frequent(column: pd.Series) -> list[str]:
    counts = Counter(column.dropna().astype("string"))
    found = [(value, count) for value, count in counts.items() if count >= MIN_COUNT]
    found.sort(key=lambda item: (-item[1], item[0]))
    return sorted(value for value, _ in found[:MAX_VALUES])


def _find_words(column: pd.Series) -> list[str]:
    counts: Counter[str] = Counter()
    for text in column.dropna().astype("string"):
        counts.update(set(WORD.findall(text.lower())))
    found = [(word, count) for word, count in counts.items() if count >= MIN_COUNT]
    found.sort(key=lambda item: (-item[1], item[0]))
    return sorted(word for word, _ in found[:MAX_WORDS])


def _in_order(label: str) -> tuple[float, str]:
    """Numbers by value, other texts by letter: "2" before "10"."""
    try:
        return float(label), label
    except ValueError:
        return float("inf"), label
