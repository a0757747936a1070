"""The square of the input, as a layer."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="regrow")
class Squared(keras.layers.Layer):  # type: ignore[misc]
    """Squares each element: `y = x * x`.

    >>> float(Squared()(keras.ops.array([[3.0]]))[0, 0])
    9.0

    Call shape: any, unchanged.
    """

    def call(self, inputs: Any) -> Any:
        """Returns the squares, in the shape and dtype of `inputs`."""
        return keras.ops.square(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
