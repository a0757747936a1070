"""A whole epoch in one compiled call: the engine's way of fitting small models.

For small models nearly all of a plain `model.fit`'s time is the cost of starting each step. Here
the loop over the batches is part of the compiled function: `tf.while_loop` on TensorFlow,
`jax.lax.scan` on JAX. PyTorch runs step by step, as it is meant to. Each step is Keras's own
`train_step`, so losses, metrics, clipping and custom training steps are the model's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from regrow.engine.errors import DataError

Order = np.ndarray[Any, np.dtype[np.int32]]
Batches = Callable[[Any], Any]


def make_deterministic() -> None:
    """Makes the backend's operations give the same bits each time; cannot be undone."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


class Epochs:
    """Trains and evaluates a compiled model on arrays in memory, one epoch a call.

    Args:
        model: a built model on which `compile` was called.
        data: nested arrays `(x, y)` or `(x, y, sample_weight)`, equal in their first axis.
        validation: the same for validation, or None.
        batch_size: rows a step; a last, smaller batch is a step as well.
        jit_compile: lets XLA compile the step on TensorFlow (JAX always does).

    Raises:
        DataError: there are no rows, or the arrays differ in their number.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Any,
        validation: Any,
        *,
        batch_size: int,
        jit_compile: bool = False,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        maker = MAKERS[keras.backend.backend()]
        for part in (data, validation):
            _check_rows(part)
        _build(model, _take(data, slice(batch_size)))
        self._train = maker(model, data, True, jit_compile)
        self._test = None if validation is None else maker(model, validation, False, jit_compile)
        self._validation_rows = 0 if validation is None else _rows(validation)

    def train(self, order: Order) -> dict[str, float]:
        """One epoch over the rows in `order` (n,), int32; returns the mean loss and metrics."""
        return self._run(self._train, order)

    def evaluate(self) -> dict[str, float]:
        """The mean loss and metrics on the validation data; empty if there are none."""
        if self._test is None:
            return {}
        order = np.arange(self._validation_rows, dtype=np.int32)
        return self._run(self._test, order)

    def _run(self, step_through: Batches, order: Order) -> dict[str, float]:
        self.model.reset_metrics()
        whole = len(order) // self.batch_size * self.batch_size
        if whole:
            step_through(order[:whole].reshape(-1, self.batch_size))
        if whole < len(order):
            step_through(order[np.newaxis, whole:])
        return {name: float(value) for name, value in _flat(self.model.get_metrics_result())}


def _build(model: keras.Model, batch: Any) -> None:
    """Builds the loss, the metrics and the optimizer through Keras's own door: one test batch."""
    before = [(variable, keras.ops.copy(variable.value)) for variable in model.variables]
    model.test_on_batch(*batch)
    model.optimizer.build(model.trainable_variables)
    # Some layers draw random numbers even then (LSTM with dropout); a plain fit would not have.
    for variable, value in before:
        variable.assign(value)


def _check_rows(data: Any) -> None:
    """On JAX and on GPUs a row that is not there would be read as another one, or as zeros."""
    counts = [len(array) for array in keras.tree.flatten(data) if array is not None]
    if data is not None and (len(set(counts)) != 1 or counts[0] == 0):
        raise DataError(
            "arrays to train on must have rows, all the same number",
            received="arrays of " + ", ".join(map(str, counts)) + " rows",
        )


def _rows(data: Any) -> int:
    return len(keras.tree.flatten(data)[0])


def _take(data: Any, rows: Any) -> Any:
    return keras.tree.map_structure(lambda array: array[rows], data)


def _flat(results: Any) -> list[tuple[str, Any]]:
    """Metrics by name; those of a model with several outputs are nested one deep."""
    pairs: list[tuple[str, Any]] = []
    for name, value in results.items():
        pairs.extend(value.items() if isinstance(value, dict) else [(name, value)])
    return pairs


def _on_tensorflow(model: Any, data: Any, training: bool, jit_compile: bool) -> Batches:
    import tensorflow as tf

    tensors = keras.tree.map_structure(tf.convert_to_tensor, data)
    step = model.train_step if training else model.test_step

    @tf.function(  # type: ignore[untyped-decorator]
        jit_compile=jit_compile or None, reduce_retracing=True, autograph=False
    )
    def run(order: Any) -> None:
        def body(index: Any) -> Any:
            rows = order[index]
            step(keras.tree.map_structure(lambda tensor: tf.gather(tensor, rows), tensors))
            return (index + 1,)

        tf.while_loop(
            lambda index: index < tf.shape(order)[0],
            body,
            (tf.constant(0),),
            parallel_iterations=1,
        )

    return lambda order: run(tf.convert_to_tensor(order))


def _on_jax(model: Any, data: Any, training: bool, _jit_compile: bool) -> Batches:
    import jax

    arrays = keras.tree.map_structure(jax.numpy.asarray, data)
    step = model.train_step if training else model.test_step

    def run(state: Any, order: Any, arrays: Any) -> Any:
        def body(state: Any, rows: Any) -> Any:
            _logs, state = step(state, _take(arrays, rows))
            return state, None

        return jax.lax.scan(body, state, order)[0]

    compiled = jax.jit(run, donate_argnums=0)

    def call(order: Order) -> None:
        groups = [model.trainable_variables, model.non_trainable_variables]
        groups += [model.optimizer.variables] if training else []
        groups += [model.metrics_variables]
        state = tuple([variable.value for variable in group] for group in groups)
        for group, values in zip(groups, compiled(state, order, arrays), strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    return call


def _on_torch(model: Any, data: Any, training: bool, _jit_compile: bool) -> Batches:
    import torch

    device = model.variables[0].value.device
    tensors = keras.tree.map_structure(lambda array: torch.as_tensor(array, device=device), data)
    step = model.train_step if training else model.test_step

    def call(order: Order) -> None:
        with torch.set_grad_enabled(training):
            for rows in torch.as_tensor(order, dtype=torch.long, device=device):
                step(_take(tensors, rows))

    return call


MAKERS: dict[str, Callable[[Any, Any, bool, bool], Batches]] = {
    "tensorflow": _on_tensorflow,
    "jax": _on_jax,
    "torch": _on_torch,
}
