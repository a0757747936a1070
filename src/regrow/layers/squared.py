"""The square of the input, as a layer."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="regrow")
class Squared(keras.layers.Layer):  # type: ignore[misc]
    """Squares each element: `y = x * x`. Whole numbers, too, in the layer's dtype: theirs overflow.

    >>> float(Squared()(keras.ops.array([[3.0]]))[0, 0])
    9.0

    Call shape: any, unchanged.
    """

    def call(self, inputs: Any) -> Any:
        """Returns the squares, in the shape of `inputs` and the layer's dtype."""
        return keras.ops.square(keras.ops.cast(inputs, self.compute_dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
