"""Layers that turn raw tables into features, so that a saved model takes raw readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

register = keras.saving.register_keras_serializable(package="regrow")


@register
class SelectColumns(keras.layers.Layer):  # type: ignore[misc]
    """Keeps some columns of a table.

    Args:
        columns: indices of the columns to keep, in order.

    Call shape: `(batch, columns in)` to `(batch, len(columns))`.
    """

    def __init__(self, columns: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = [int(column) for column in columns]

    def call(self, inputs: Any) -> Any:
        """Returns the chosen columns, in the dtype of `inputs`."""
        return ops.take(inputs, ops.array(self.columns, dtype="int32"), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with the chosen number of columns."""
        return (*input_shape[:-1], len(self.columns))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "columns": self.columns}


@register
class Logarithm(keras.layers.Layer):  # type: ignore[misc]
    """Takes the natural logarithm of some columns: `y = log(max(x, floor))`. NaN stays NaN.

    Args:
        columns: indices of the columns to transform; the others pass unchanged.
        floor: smaller values are raised to this, so that zero has a logarithm.

    Call shape: `(batch, columns)`, unchanged.
    """

    def __init__(self, columns: Sequence[int], floor: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = [int(column) for column in columns]
        self.floor = float(floor)

    def call(self, inputs: Any) -> Any:
        """Returns the table with logarithms, in the dtype of `inputs`."""
        chosen = np.isin(np.arange(inputs.shape[-1]), self.columns)
        raised = ops.where(inputs < self.floor, ops.cast(self.floor, inputs.dtype), inputs)
        return ops.where(chosen, ops.log(ops.where(chosen, raised, 1.0)), inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "columns": self.columns, "floor": self.floor}


@register
class FillMissing(keras.layers.Layer):  # type: ignore[misc]
    """Puts a value where the input is NaN. After standardising, 0 is the mean of training rows.

    Args:
        value: what to put there.

    Call shape: any, unchanged.
    """

    def __init__(self, value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = float(value)

    def call(self, inputs: Any) -> Any:
        """Returns `inputs` without NaN, in its dtype."""
        return ops.where(ops.isnan(inputs), ops.cast(self.value, inputs.dtype), inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "value": self.value}


@register
class Calendar(keras.layers.Layer):  # type: ignore[misc]
    """Turns hour and weekday into features in which 23 h and 0 h are neighbours.

    With `a = 2 pi hour / 24`: `sin a, cos a, sin 2a, cos 2a`, and 1 at the weekend, else 0. The
    second harmonic is there because traffic peaks twice a day.

    Call shape: `(batch, 2)`, hour 0 to 23 and weekday 0 (Monday) to 6, to `(batch, 5)`.
    """

    def call(self, inputs: Any) -> Any:
        """Returns the five features, in the dtype of `inputs`."""
        angle = inputs[..., :1] * (2 * np.pi / 24)
        weekend = ops.cast(inputs[..., 1:] >= 5, inputs.dtype)
        waves = [ops.sin(angle), ops.cos(angle), ops.sin(2 * angle), ops.cos(2 * angle)]
        return ops.concatenate([*waves, weekend], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with five columns."""
        return (*input_shape[:-1], 5)


@register
class OrthogonalPolynomial(keras.layers.Layer):  # type: ignore[misc]
    """Powers of standardised columns, made uncorrelated and of unit variance.

    With `p = (x, x^2, ..., x^degree)` of every column, `y = (p - mean(p)) W`, where `W` is the
    inverse of the Cholesky factor of `cov(p)`, transposed: Gram-Schmidt on the training rows. Plain
    powers are so nearly collinear that gradient descent hardly moves along them.

    Args:
        degree: the highest power, at least 1.

    `adapt(rows)` fits mean and `W` before the first call. Call shape: `(batch, columns)` to
    `(batch, columns * degree)`.
    """

    def __init__(self, degree: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.degree = int(degree)

    def build(self, input_shape: Any) -> None:
        """Makes the weights, at first the identity."""
        size = input_shape[-1] * self.degree
        self.mean = self.add_weight(
            shape=(size,), initializer="zeros", trainable=False, name="mean"
        )
        self.mixing = self.add_weight(
            shape=(size, size), initializer="identity", trainable=False, name="mixing"
        )

    def adapt(self, rows: Any) -> None:
        """Fits to standardised training rows, (rows, columns), float64, without NaN."""
        if not self.built:
            self.build(rows.shape)
        powers = np.concatenate([rows**power for power in range(1, self.degree + 1)], axis=-1)
        covariance = np.atleast_2d(np.cov(powers, rowvar=False))
        self.mean.assign(powers.mean(axis=0))
        self.mixing.assign(np.linalg.inv(np.linalg.cholesky(covariance)).T)

    def call(self, inputs: Any) -> Any:
        """Returns the features, in the layer's compute dtype."""
        powers = [inputs]
        for _ in range(self.degree - 1):
            powers.append(powers[-1] * inputs)
        return ops.matmul(ops.concatenate(powers, axis=-1) - self.mean, self.mixing)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with `degree` times the columns."""
        return (*input_shape[:-1], input_shape[-1] * self.degree)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "degree": self.degree}
