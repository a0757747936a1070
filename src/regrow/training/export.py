"""Models in forms that answer without regrow or a layer's code, such as TensorFlow's SavedModel.

Whatever backend trained a model, it is exported on TensorFlow: a `.keras` file has none. Where
Keras runs on another one, a process of its own does it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from regrow.training.formats import Format
from regrow.training.inference import load_example, load_model

TIMEOUT_S = 600
# Of the largest answer: what rounding in single precision adds up to.
TOLERANCE = 1e-5
# Between what libraries print and the child's own answer.
MARK = "regrow-export: "


Run = Callable[[Any], Any]
"""Answers inputs in the structure that the model takes."""


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        dtypes: that of the model's input, in a list if the model takes a list, or of each of its
            inputs by name.
        difference: the largest from the answers of the example.
    """

    dtypes: Any
    difference: float


class NotExportable(Exception):
    """A model that has no SavedModel; its text says which layer, or what differs."""


def export_model(model: Path, example: Path, out: Path, kind: Format = "saved_model") -> Export:
    """Writes a `.keras` file in another form, and makes sure that this answers as the model does.

    Args:
        model: the `.keras` file.
        example: its `example.npz`: the answers to compare with.
        out: the file, or of a SavedModel the folder, to write; it does not exist.
        kind: the form; see `regrow.training.formats`. A SavedModel answers by its function `serve`.

    Raises:
        NotExportable: says which layer cannot be exported, or what the written form answers.
        DataError: the file holds no model that may be loaded.
    """
    if keras.backend.backend() == "tensorflow":
        return _export(model, example, out, kind)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", "regrow.training.export", *map(str, (model, example, out, kind))],
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
    return Export(**answer)


def _export(file: Path, example: Path, out: Path, kind: Format) -> Export:
    model = load_model(file)
    inputs, outputs = load_example(example)
    dtypes = keras.tree.map_structure(lambda tensor: str(tensor.dtype), _find_input(model, inputs))
    try:
        run = WRITERS[kind](model, out)
    except Exception as error:  # a layer's own code fails in any way
        raise NotExportable(_describe(model, error)) from error
    if isinstance(dtypes, (list, tuple)):  # of one input, as examples have arrays by name else
        inputs = [inputs]
    given = keras.tree.map_structure(lambda x, dtype: np.asarray(x, dtype), inputs, dtypes)
    most = 0.0
    for new, old in zip(keras.tree.flatten(run(given)), keras.tree.flatten(outputs), strict=True):
        found, wanted = np.asarray(new, "float64"), np.asarray(old, "float64")
        difference = float(np.abs(found - wanted).max(initial=0))
        allowed = TOLERANCE * max(1.0, float(np.abs(wanted).max(initial=0)))
        if not difference <= allowed:  # nor where it is NaN
            raise NotExportable(
                f"as {kind} it answers with up to {difference:.2g} of difference from what it was "
                f"trained to answer on its own backend; {allowed:.2g} is allowed"
            )
        most = max(most, difference)
    return Export(dtypes, most)


def _write_saved_model(model: keras.Model, out: Path) -> Run:
    import tensorflow as tf

    model.export(out, format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(out))
    return lambda inputs: loaded.serve(keras.tree.map_structure(tf.constant, inputs))


def _write_onnx(model: keras.Model, out: Path) -> Run:
    """Writes ONNX by tf2onnx.

    Keras's own export leaves the constants that a layer holds as inputs of the graph (Keras 3.15,
    `normalization/Sub/y` of a Normalization), which nobody could give; they become values here.
    """
    import onnx
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    function = tf.function(lambda inputs: model(inputs, training=False))
    signature = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, tensor.name),
        model.input,
    )
    held = {
        inside.name: value.numpy()
        for value, inside in function.get_concrete_function(signature).graph.captures
        if value.dtype != tf.resource
    }
    found, _ = tf2onnx.convert.from_function(function, [signature])
    graph = found.graph
    inputs = [each for each in graph.input if each.name not in held]
    graph.initializer.extend(
        onnx.numpy_helper.from_array(held[each.name], each.name)
        for each in graph.input
        if each.name in held
    )
    del graph.input[:]
    graph.input.extend(inputs)
    onnx.save(found, str(out))
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    results = [each.name for each in session.get_outputs()]
    return lambda given: _by_name(model, results, session.run(results, _give(names, given)))


def _write_litert(model: keras.Model, out: Path) -> Run:
    import tensorflow as tf

    model.export(out, format="litert", verbose=False)
    with (
        warnings.catch_warnings()
    ):  # that it moves to a package which has no operations of TensorFlow
        warnings.simplefilter("ignore")
        runner = tf.lite.Interpreter(str(out)).get_signature_runner()
    names = list(runner.get_input_details())

    def run(given: Any) -> Any:
        found = runner(**_give(names, given))
        return _by_name(model, list(found), list(found.values()))

    return run


def _write_keras(model: keras.Model, out: Path) -> Run:
    model.save(out)
    return cast("Run", load_model(out))


WRITERS: dict[Format, Callable[[keras.Model, Path], Run]] = {
    "saved_model": _write_saved_model,
    "onnx": _write_onnx,
    "litert": _write_litert,
    "keras": _write_keras,
}


def _give(names: Sequence[str], inputs: Any) -> dict[str, Any]:
    """Inputs by the names that a runtime has for them."""
    if isinstance(inputs, dict):
        return {name: inputs[name] for name in names}
    return dict(zip(names, keras.tree.flatten(inputs), strict=True))


def _by_name(model: keras.Model, names: Sequence[str], values: Sequence[Any]) -> Any:
    """A runtime's outputs as the model gives them: by name if the model has names for them."""
    named = isinstance(getattr(model, "output", None), dict)
    return dict(zip(names, values, strict=True)) if named else list(values)


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


def _main(model: str, example: str, out: str, kind: Format) -> None:
    try:
        answer = asdict(_export(Path(model), Path(example), Path(out), kind))
    except Exception as error:  # the parent reports it
        text = (
            str(error) if isinstance(error, NotExportable) else f"{type(error).__name__}: {error}"
        )
        answer = {"error": text}
    print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])  # type: ignore[arg-type]
