"""Models as TensorFlow's SavedModel, which answers without Keras, regrow or a layer's code.

Whatever backend trained a model, it is exported on TensorFlow: a `.keras` file has none. Where
Keras runs on another one, a process of its own does it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.training.inference import load_example, load_model

TIMEOUT_S = 600
# Of the largest answer: what rounding in single precision adds up to.
TOLERANCE = 1e-5
# Between what libraries print and the child's own answer.
MARK = "regrow-export: "


class NotExportable(Exception):
    """A model that has no SavedModel; its text says which layer, or what differs."""


def export_model(model: Path, example: Path, out: Path) -> dict[str, Any]:
    """Writes a `.keras` file as a SavedModel whose function `serve` answers as the model does.

    Args:
        model: the `.keras` file.
        example: its `example.npz`: the answers to compare with.
        out: the folder to write; it does not exist.

    Returns:
        JSON: `dtypes`, that of the model's input, in a list if the model takes a list, or of each
        of its inputs by name.

    Raises:
        NotExportable: says which layer cannot be exported, or what the SavedModel answers.
        DataError: the file holds no model that may be loaded.
    """
    if keras.backend.backend() == "tensorflow":
        return _export(model, example, out)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", "regrow.training.export", *map(str, (model, example, out))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not answers:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotExportable(f"the process that exports ended with {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(answers[-1].removeprefix(MARK))
    if "error" in answer:
        raise NotExportable(answer["error"])
    return answer


def _export(file: Path, example: Path, out: Path) -> dict[str, Any]:
    import tensorflow as tf

    model = load_model(file)
    inputs, outputs = load_example(example)
    dtypes = keras.tree.map_structure(lambda tensor: str(tensor.dtype), _find_input(model, inputs))
    try:
        model.export(out, format="tf_saved_model", verbose=False)
    except Exception as error:  # a layer's own code fails in any way
        raise NotExportable(_describe(model, error)) from error
    loaded = tf.saved_model.load(str(out))
    if isinstance(dtypes, (list, tuple)):  # of one input, as examples have arrays by name else
        inputs = [inputs]
    answers = loaded.serve(
        keras.tree.map_structure(lambda x, dtype: tf.constant(x, dtype), inputs, dtypes)
    )
    for new, old in zip(keras.tree.flatten(answers), keras.tree.flatten(outputs), strict=True):
        found, wanted = np.asarray(new, "float64"), np.asarray(old, "float64")
        difference = float(np.abs(found - wanted).max(initial=0))
        allowed = TOLERANCE * max(1.0, float(np.abs(wanted).max(initial=0)))
        if not difference <= allowed:  # nor where it is NaN
            raise NotExportable(
                f"on TensorFlow it answers with up to {difference:.2g} of difference from what it "
                f"was trained to answer on its own backend; {allowed:.2g} is allowed"
            )
    return {"dtypes": dtypes}


def _find_input(model: keras.Model, inputs: Any) -> Any:
    """The model's input tensors as it takes them; of a subclass of Model those of its example."""
    try:
        return model.input
    except AttributeError:  # a Sequential has a list of one, and a subclass of Model has none
        return model.inputs[0] if model.inputs else inputs


def _describe(model: keras.Model, error: Exception) -> str:
    """Which layer cannot be exported, and why."""
    layers = [one for one in model.layers if not isinstance(one, keras.layers.InputLayer)]
    name = next((layer.name for layer in layers if not _is_traceable(layer)), None)
    first = next(iter(str(error).strip().splitlines()), "")[:200]
    where = f"layer {name!r}" if name else f"model {model.name!r}"
    return f"{where} cannot be exported: {type(error).__name__}: {first}"


def _is_traceable(layer: keras.layers.Layer) -> bool:
    """Whether TensorFlow can make a graph of a layer."""
    import tensorflow as tf

    try:
        specs = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), layer.input)
        tf.function(lambda x: layer(x)).get_concrete_function(specs)
    except Exception:
        return False
    return True


def _main(model: str, example: str, out: str) -> None:
    try:
        answer = _export(Path(model), Path(example), Path(out))
    except Exception as error:  # the parent reports it
        text = (
            str(error) if isinstance(error, NotExportable) else f"{type(error).__name__}: {error}"
        )
        answer = {"error": text}
    print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
