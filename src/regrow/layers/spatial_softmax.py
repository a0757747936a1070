"""Where a map is brightest, as a position that has a gradient."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="regrow")
class SpatialSoftmax(keras.layers.Layer):  # type: ignore[misc]
    """The expected position of each channel's softmax over the map: a soft argmax.

    `p = softmax(map)` over all cells of a channel, and the output is `sum(p * centre)`, where the
    centre of a cell is (x, y) in shares of the map's width and height. So positions are finer than
    the map's cells. S. Levine, C. Finn and others, End-to-end training of deep visuomotor policies,
    Journal of Machine Learning Research 17 (2016), section 5.1.

    Call shape: (batch, height, width, channels), height and width known, gives
    (batch, 2 * channels): x and y of the first channel, then those of the second, and so on.
    """

    def call(self, inputs: Any) -> Any:
        """Positions of maps (batch, height, width, channels) as (batch, 2 * channels)."""
        _batch, height, width, channels = inputs.shape
        rows, columns = np.mgrid[0:height, 0:width]
        centres = np.stack([(columns.ravel() + 0.5) / width, (rows.ravel() + 0.5) / height], axis=1)
        share = ops.softmax(ops.reshape(inputs, (-1, height * width, channels)), axis=1)
        positions = ops.matmul(
            ops.transpose(share, (0, 2, 1)), ops.convert_to_tensor(centres, dtype=share.dtype)
        )
        return ops.reshape(positions, (-1, 2 * channels))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """(batch, height, width, channels) gives (batch, 2 * channels)."""
        return (input_shape[0], 2 * input_shape[3])
