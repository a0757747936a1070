"""One layer on one array: for trying a layer out, and for tests."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def run_layer(layer: keras.layers.Layer, array: Any) -> Any:
    """Puts one sample through a model that contains only the layer, rebuilt from its configuration.

    Args:
        layer: any layer of one input, built or not; its weights are used if it has been built.
        array: one sample, without the axis of the batch; any shape and numeric dtype.

    Returns:
        The layer's output for it, an array without the axis of the batch. Where a layer has
        several outputs, all of them, in the layer's own nest of lists, tuples or dicts.

    Raises:
        TypeError: `get_config` does not describe the layer, so that it could not be saved either.

    >>> from regrow.layers import Squared
    >>> run_layer(Squared(), [1.0, -3.0]).tolist()
    [1.0, 9.0]
    """
    sample = np.asarray(array)
    if sample.dtype == np.float64 and not isinstance(array, np.ndarray):
        sample = sample.astype(keras.config.floatx())  # a list of numbers, as Keras takes it
    inputs = keras.Input(sample.shape, dtype=str(sample.dtype))
    twin = type(layer).from_config(layer.get_config())
    model = keras.Model(inputs, twin(inputs))
    if layer.built:
        twin.set_weights(layer.get_weights())
    outputs = model(keras.ops.convert_to_tensor(sample[np.newaxis]), training=False)
    return keras.tree.map_structure(lambda y: keras.ops.convert_to_numpy(y)[0], outputs)
