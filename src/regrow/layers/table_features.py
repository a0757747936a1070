"""The layer that turns the coded columns of a table into features, and says how they are coded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

register = keras.saving.register_keras_serializable(package="regrow")


@register
class TableFeatures(keras.layers.Layer):  # type: ignore[misc]
    """Features of a table with numbers, categories and texts.

    Its input has one row for each row of the table: the numbers (NaN where missing), then the code
    of each category (0 for a value that is not in its vocabulary, n for the n-th value), then the
    counts of the words of each text. Its output has, in this order: the standardised numbers (0
    where missing); for each number 1 where it is missing, else 0; one indicator for each value of
    each category, the first one for unknown values; and for each text `log(1 + count) * idf`,
    divided by its Euclidean length.

    The vocabularies are part of the configuration, so that a saved model says how its input is
    coded.

    Args:
        numbers: the names of the numeric columns.
        categories: by column, its values in the order of their codes.
        texts: by column, its words in the order of their counts.
        labels: the target's values in the order of the network's outputs; empty for a number.

    Call shape: `(batch, columns)` to `(batch, width)`, in the layer's compute dtype.
    """

    def __init__(
        self,
        numbers: Sequence[str] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        texts: Mapping[str, Sequence[str]] | None = None,
        labels: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.numbers = list(numbers)
        self.categories = {name: list(values) for name, values in (categories or {}).items()}
        self.texts = {name: list(words) for name, words in (texts or {}).items()}
        self.labels = list(labels)

    @property
    def columns(self) -> int:
        """The number of columns of the input."""
        words = sum(len(of) for of in self.texts.values())
        return len(self.numbers) + len(self.categories) + words

    @property
    def width(self) -> int:
        """The number of features."""
        values = sum(len(of) + 1 for of in self.categories.values())
        words = sum(len(of) for of in self.texts.values())
        return 2 * len(self.numbers) + values + words

    def build(self, input_shape: Any) -> None:
        """Makes the weights: means and scales of numbers, and the idf of words."""
        count, words = len(self.numbers), sum(len(of) for of in self.texts.values())
        make = {"trainable": False, "dtype": "float32"}
        self.mean = self.add_weight(shape=(count,), initializer="zeros", name="mean", **make)
        self.scale = self.add_weight(shape=(count,), initializer="ones", name="scale", **make)
        self.idf = self.add_weight(shape=(words,), initializer="ones", name="idf", **make)

    def adapt(self, rows: Any) -> None:
        """Fits means, scales and idf to coded training rows, (rows, columns), a float array."""
        if not self.built:
            self.build(rows.shape)
        count = len(self.numbers)
        numbers = np.asarray(rows[:, :count], dtype="float64")
        if count:
            known = np.isfinite(numbers)
            total = np.maximum(known.sum(axis=0), 1)
            mean = np.where(known, numbers, 0).sum(axis=0) / total
            spread = np.sqrt((np.where(known, numbers - mean, 0) ** 2).sum(axis=0) / total)
            self.mean.assign(mean)
            self.scale.assign(np.where(spread > 0, spread, 1.0))
        words = rows[:, count + len(self.categories) :]
        if words.shape[1]:
            found = (words > 0).sum(axis=0)
            self.idf.assign(np.log((1 + len(rows)) / (1 + found)) + 1)

    def call(self, inputs: Any) -> Any:
        """Returns the features."""
        inputs = ops.cast(inputs, self.compute_dtype)
        count, parts = len(self.numbers), []
        if count:
            numbers = inputs[:, :count]
            missing = ops.isnan(numbers)
            scaled = (numbers - self.mean) / self.scale
            parts += [
                ops.where(missing, ops.zeros_like(scaled), scaled),
                ops.cast(missing, inputs.dtype),
            ]
        for n, values in enumerate(self.categories.values(), count):
            codes = ops.cast(inputs[:, n], "int32")
            parts.append(ops.one_hot(codes, len(values) + 1, dtype=inputs.dtype))
        start, first = count + len(self.categories), 0
        for words in self.texts.values():
            size = len(words)
            counts = inputs[:, start + first : start + first + size]
            weighted = ops.log1p(counts) * self.idf[first : first + size]
            length = ops.sqrt(ops.sum(weighted * weighted, axis=-1, keepdims=True))
            parts.append(weighted / ops.maximum(length, 1e-9))
            first += size
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with `width` columns."""
        return (*input_shape[:-1], self.width)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            **super().get_config(),
            "numbers": self.numbers,
            "categories": self.categories,
            "texts": self.texts,
            "labels": self.labels,
        }
