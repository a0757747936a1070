"""A whole epoch in one compiled call: how small models are trained.

For small models nearly all of a plain `model.fit`'s time is the cost of starting each step. Here
the loop over the batches is part of the compiled function: `tf.while_loop` on TensorFlow,
`jax.lax.scan` on JAX. PyTorch runs step by step, as it is meant to. Each step is Keras's own
`train_step`, so losses, metrics, clipping and custom training steps are the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from regrow.base.errors import DataError

Order = np.ndarray[Any, np.dtype[np.int32]]
Batches = Callable[[Any], Any]


class Epochs:
    """Trains and evaluates a compiled model on arrays in memory, one epoch a call.

    Rows of different lengths are given as groups: a batch has rows of one group only, so nothing
    is padded beyond its group's length. Rows are numbered through all groups.

    Args:
        model: a built model on which `compile` was called.
        groups: each nested arrays `(x, y)` or `(x, y, sample_weight)`, equal in their first axis.
        validation: the same for validation; empty if there is none.
        batch_size: rows a step; a last, smaller batch is a step as well.
        jit_compile: lets XLA compile the step on TensorFlow (JAX always does).

    Raises:
        DataError: there are no rows, or the arrays differ in their number.
    """

    def __init__(
        self,
        model: keras.Model,
        groups: Sequence[Any],
        validation: Sequence[Any] = (),
        *,
        batch_size: int,
        jit_compile: bool = False,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        maker = MAKERS[keras.backend.backend()]
        for data in (*groups, *validation):
            _check_rows(data)
        _build(model, _take(groups[0], slice(batch_size)))
        self._train = [(count_rows(of), maker(model, of, True, jit_compile)) for of in groups]
        self._test = [(count_rows(of), maker(model, of, False, jit_compile)) for of in validation]

    def train(self, order: Order) -> dict[str, float]:
        """One epoch over the rows in `order` (n,), int32; returns the mean loss and metrics."""
        return self._run(self._train, order)

    def evaluate(self) -> dict[str, float]:
        """The mean loss and metrics on the validation data; empty if there are none."""
        if not self._test:
            return {}
        rows = sum(count for count, _ in self._test)
        return self._run(self._test, np.arange(rows, dtype=np.int32))

    def _run(self, groups: list[tuple[int, Batches]], order: Order) -> dict[str, float]:
        self.model.reset_metrics()
        counts = [count for count, _ in groups]
        for group, batches in make_batches(order, counts, self.batch_size):
            groups[group][1](batches)
        return {name: float(value) for name, value in _flat(self.model.get_metrics_result())}


def make_batches(
    order: Order, counts: Sequence[int], batch_size: int
) -> Iterator[tuple[int, Order]]:
    """Batches of rows of one group, in the order in which `order` fills them.

    Args:
        order: rows numbered through all groups, (n,).
        counts: the rows of each group.
        batch_size: rows a batch; what is left of each group comes last, as a smaller one.

    Yields:
        The group, and batches of its own rows' numbers, (batches, rows). With a single group all
        its full batches come at once: the loop over them is then compiled.
    """
    starts = np.cumsum([0, *counts])
    group_of = np.searchsorted(starts, order, side="right") - 1
    full: list[tuple[int, int, Order]] = []
    rest: list[tuple[int, Order]] = []
    for group, start in enumerate(starts[:-1]):
        places = np.flatnonzero(group_of == group)
        rows = (order[places] - start).astype(np.int32)
        whole = len(rows) // batch_size * batch_size
        together = max(1, whole) if len(counts) == 1 else batch_size
        full += [
            (places[end - 1], group, rows[end - together : end].reshape(-1, batch_size))
            for end in range(together, whole + 1, together)
        ]
        if whole < len(rows):
            rest.append((group, rows[np.newaxis, whole:]))
    for _place, group, batches in sorted(full, key=lambda entry: entry[0]):
        yield group, batches
    yield from rest


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
    if len(set(counts)) != 1 or counts[0] == 0:
        raise DataError(
            "training arrays must have the same number of rows, at least one",
            received="arrays of " + ", ".join(map(str, counts)) + " rows",
        )


def count_rows(data: Any) -> int:
    """How many rows nested arrays have."""
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
