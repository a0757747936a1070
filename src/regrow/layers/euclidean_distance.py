"""The distance between two vectors."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from regrow.layers.precision import widen


@keras.saving.register_keras_serializable(package="regrow")
class EuclideanDistance(keras.layers.Layer):  # type: ignore[misc]
    """Euclidean distance of two batches of vectors, with a gradient that is finite everywhere.

    `d = sqrt(max(sum((a - b)^2), epsilon^2))` over the last axis. The root's gradient at zero is
    infinite; here equal vectors are `epsilon` apart and their gradient is zero. In half precision
    the sum is computed in float32: 256 squared is more than float16 can hold.

    Args:
        epsilon: the smallest distance. Squared it must be a number of float32 or wider.

    Call arguments:
        inputs: two tensors (..., features) of equal shape, real or whole numbers.

    Returns:
        A tensor (..., 1) of the layer's dtype.

    >>> pair = [keras.ops.array([[0.0, 0.0]]), keras.ops.array([[3.0, 4.0]])]
    >>> float(EuclideanDistance()(pair)[0, 0])
    5.0
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not epsilon > 0:
            raise ValueError(f"epsilon must be positive; received {epsilon}")
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Refuses shapes that do not fit together."""
        if len(input_shape) != 2 or input_shape[0] != input_shape[1]:
            raise ValueError(f"expects two inputs of the same shape; received {input_shape}")

    def call(self, inputs: Any) -> Any:
        """Distances of two tensors (..., features) as (..., 1)."""
        first, second = (ops.cast(x, widen(self.compute_dtype)) for x in inputs)
        squared = ops.sum(ops.square(first - second), axis=-1, keepdims=True)
        distance = ops.sqrt(ops.maximum(squared, self.epsilon**2))
        return ops.cast(distance, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """(..., features) twice gives (..., 1)."""
        return (*input_shape[0][:-1], 1)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
