"""One layer on one array: for trying a layer out, and for tests."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def run_layer(layer: keras.layers.Layer, array: Any) -> Any:
    """Puts one sample through a model that is nothing but the layer.

    Args:
        layer: any layer of one input.
        array: one sample, without the axis of the batch; any shape and numeric dtype.

    Returns:
        The layer's output for it, an array without the axis of the batch. Where a layer has
        several outputs, all of them, in the layer's own nest of lists, tuples or dicts.

    >>> from regrow.layers import Squared
    >>> run_layer(Squared(), [1.0, -3.0]).tolist()
    [1.0, 9.0]
    """
    sample = np.asarray(array)
    if sample.dtype == np.float64 and not isinstance(array, np.ndarray):
        sample = sample.astype(keras.config.floatx())  # a list of numbers, as Keras takes it
    inputs = keras.Input(sample.shape, dtype=str(sample.dtype))
    model = keras.Model(inputs, layer(inputs))
    outputs = model(keras.ops.convert_to_tensor(sample[np.newaxis]), training=False)
    return keras.tree.map_structure(lambda y: keras.ops.convert_to_numpy(y)[0], outputs)
