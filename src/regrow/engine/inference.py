"""Answers of a model for arrays in memory, and the example that is kept with every release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

BATCH_ROWS = 8192


def answer(model: keras.Model, x: Any, *, batch_rows: int = BATCH_ROWS) -> Any:
    """The model's answers for `x`, in batches; the first axis of every array is the rows.

    Calling the model is quicker than `predict` for small models: no data pipeline is built.

    Args:
        model: a built model.
        x: an array, or nested arrays as the model takes them.
        batch_rows: rows a call; fewer where a row is large.

    Returns:
        An array, or arrays nested as the model returns them.
    """
    rows = len(keras.tree.flatten(x)[0])
    parts = [
        keras.tree.map_structure(
            keras.ops.convert_to_numpy, model(_take(x, start, batch_rows), training=False)
        )
        for start in range(0, rows, batch_rows)
    ]
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def save_example(path: Path, model: keras.Model, inputs: Any) -> None:
    """Writes `example.npz`: some inputs and what the model answers, arrays or dicts of arrays."""
    arrays = {"inputs": inputs, "outputs": answer(model, inputs)}
    flat: dict[str, Any] = {}
    for side, value in arrays.items():
        flat |= {f"{side}/{k}": v for k, v in value.items()} if isinstance(value, dict) else {}
        flat |= {} if isinstance(value, dict) else {side: value}
    np.savez(path, **flat)


def load_example(path: Path) -> tuple[Any, Any]:
    """The inputs and outputs of `example.npz`, each an array or a dict of arrays."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}

    def side(name: str) -> Any:
        within = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{name}/")}
        return within or arrays[name]

    return side("inputs"), side("outputs")


def find_difference(model: keras.Model, example: Path) -> str | None:
    """How the model's answers differ from those kept in `example.npz`; None if they do not."""
    inputs, outputs = load_example(example)
    answers = answer(model, inputs)
    for new, old in zip(keras.tree.flatten(answers), keras.tree.flatten(outputs), strict=True):
        if not np.isfinite(new).all() or not np.allclose(new, old, rtol=1e-3, atol=1e-5):
            return f"answers {new.ravel()[:3]}, was {old.ravel()[:3]}"
    return None


def _take(x: Any, start: int, rows: int) -> Any:
    return keras.tree.map_structure(lambda array: array[start : start + rows], x)
