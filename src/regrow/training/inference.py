"""Models from files, their answers for arrays in memory, and the example kept with a release."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.base.errors import DataError
from regrow.base.keras_classes import import_classes
from regrow.base.model_file import check_size, read_config, unloadable

BATCH_ROWS = 8192


def load_model(path: Path) -> keras.Model:
    """Loads a `.keras` file to answer with.

    Its configuration is checked first: code in it is refused, not run.

    Raises:
        DataError: the file holds code (a Lambda layer), a class that is not allowed or not known,
            sizes that cannot be, or no model.
        OutOfMemory: this machine cannot hold it.
    """
    config = read_config(path)
    config.pop("compile_config", None)  # the model is not compiled, so nothing of it is built
    try:
        import_classes(config, path)
        check_size(config, path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except DataError:
        raise
    except Exception as error:  # Keras and its backends raise whatever they meet
        raise unloadable(error, path) from error


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
    """The inputs and outputs of `example.npz`, each an array or a dict of arrays.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
        raise DataError(
            "the example of a model is damaged",
            where=str(path),
            received=str(error),
            expected="a complete .npz file",
            remedies=["restore it from a backup", "retrain the model: regrow run"],
        ) from error

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
            return f"outputs {new.ravel()[:3]}, was {old.ravel()[:3]}"
    return None


def _take(x: Any, start: int, rows: int) -> Any:
    return keras.tree.map_structure(lambda array: array[start : start + rows], x)
