"""Values and gradients of functions of arrays, compiled, on whichever backend Keras uses.

The only module besides `training.epochs` that names the backends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Terms = dict[str, Any]
Function = Callable[[Any, Any], tuple[Any, Terms]]
"""Called as `function(x, constants)`; returns a scalar and, by name, the terms it consists of."""
ValueAndGrad = Callable[..., tuple[float, dict[str, float], Array]]


def value_and_grad(function: Function) -> ValueAndGrad:
    """A compiled function that returns a value, its terms, and the gradient by its first argument.

    Compiled once for each shape. TensorFlow compiles to a graph and not with XLA, which takes
    longer on a CPU and twice the memory (VGG-16 at 400 x 400).

    Args:
        function: written in `keras.ops`; takes a tensor and nested constants.

    Returns:
        Called as `f(x, constants)` with arrays: the value, its terms, and the gradient, which has
        the shape and dtype of `x`.
    """
    return MAKERS[keras.backend.backend()](function)


def _on_tensorflow(function: Function) -> ValueAndGrad:
    import tensorflow as tf

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def run(x: Any, constants: Any) -> Any:
        # Only the pixels are watched: the backbone's weights stay what they are.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            value, terms = function(x, constants)
        return value, terms, tape.gradient(value, x)

    def call(x: Array, constants: Any = None) -> tuple[float, dict[str, float], Array]:
        constants = keras.tree.map_structure(tf.convert_to_tensor, constants or {})
        value, terms, gradient = run(tf.convert_to_tensor(x), constants)
        return float(value), {k: float(v) for k, v in terms.items()}, gradient.numpy()

    return call


def _on_jax(function: Function) -> ValueAndGrad:
    import jax

    run = jax.jit(jax.value_and_grad(function, has_aux=True))

    def call(x: Array, constants: Any = None) -> tuple[float, dict[str, float], Array]:
        (value, terms), gradient = run(x, constants or {})
        return float(value), {k: float(v) for k, v in terms.items()}, np.array(gradient)

    return call


def _on_torch(function: Function) -> ValueAndGrad:
    import torch
    from keras.src.backend.torch.core import get_device

    def call(x: Array, constants: Any = None) -> tuple[float, dict[str, float], Array]:
        def convert(array: Any) -> Any:
            return torch.as_tensor(array, device=get_device())

        tensor = convert(x).clone().requires_grad_()
        value, terms = function(tensor, keras.tree.map_structure(convert, constants or {}))
        (gradient,) = torch.autograd.grad(value, tensor)
        found = {name: float(term.detach()) for name, term in terms.items()}
        return float(value.detach()), found, gradient.cpu().numpy()

    return call


MAKERS: dict[str, Callable[[Function], ValueAndGrad]] = {
    "tensorflow": _on_tensorflow,
    "jax": _on_jax,
    "torch": _on_torch,
}
