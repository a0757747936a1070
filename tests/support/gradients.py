"""Gradients on whichever backend Keras uses, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def differentiate(function: Callable[[Any], Any], x: Array) -> Array:
    """The gradient of a scalar function of one array, at `x` (JAX has float64 only if told to)."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            value = function(variable)
        return np.asarray(tape.gradient(value, variable))
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(function)(jax.numpy.asarray(x)))
    import torch

    tensor = torch.tensor(x, requires_grad=True)
    function(tensor).backward()
    assert tensor.grad is not None
    return np.asarray(tensor.grad)
