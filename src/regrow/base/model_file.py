"""A `.keras` file before it is loaded: its configuration, and whether its sizes are plausible."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regrow.base.errors import DataError, OutOfMemory, UserError

CONFIG = "config.json"
MAX_CONFIG_BYTES = 64 * 2**20
MAX_MEMBERS = 10_000
# Keras stores without compression; a file that was packed again is still far below this.
MAX_EXPANSION, FREE_BYTES = 100, 64 * 2**20
# Every weight is in the file, so a model is hardly larger than that. Layers may leave some out.
MAX_WEIGHTS_EXPANSION, FREE_WEIGHTS_BYTES = 4, 2**30
BYTES_PER_WEIGHT = 4
# Of the answer of one layer to one row: 1 GiB in single precision.
MAX_ROW_ELEMENTS = 2**28
# What TensorFlow, JAX and PyTorch say.
NO_MEMORY = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemoryError", "not enough memory")


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of a model in a `.keras` file; nothing is imported or built.

    Raises:
        DataError: the file is damaged, no `.keras` file, or would become far larger when unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            config = json.loads(archive.read(CONFIG))
    except DataError:
        raise
    except Exception as error:  # whatever a hostile file makes zipfile and json raise
        raise unloadable(error, path) from error
    if not isinstance(config, dict):  # else Keras would take it for a value
        raise unloadable(ValueError(f"{CONFIG} is not an object"), path)
    return config


def check_size(config: dict[str, Any], path: Path) -> None:
    """Makes sure that a model is not much larger than what its file stores.

    The model is built without its weights, which takes no memory. What cannot be built in this way
    is left to the loading itself.

    Raises:
        DataError: its weights, or the answer of a layer to one row, would be too large.
    """
    try:
        model = _build_without_weights(config)
    except Exception:
        return
    stored = path.stat().st_size
    needed = sum(BYTES_PER_WEIGHT * math.prod(variable.shape) for variable in model.variables)
    allowed = max(FREE_WEIGHTS_BYTES, MAX_WEIGHTS_EXPANSION * stored)
    if needed > allowed:
        raise _too_large(
            path,
            f"weights of {needed / 2**30:,.1f} GiB, mostly in {_find_largest(model)}",
            f"at most {allowed / 2**30:,.1f} GiB in a file of {stored:,} bytes",
        )
    for name, elements in _measure_rows(model):
        if elements > MAX_ROW_ELEMENTS:
            raise _too_large(
                path,
                f"layer {name!r} outputs {elements:,} numbers per row",
                f"at most {MAX_ROW_ELEMENTS:,}",
            )


def unloadable(error: Exception, path: Path) -> UserError:
    """A clear message for a file that Keras does not load."""
    if isinstance(error, MemoryError) or any(text in repr(error) for text in NO_MEMORY):
        return OutOfMemory(
            "there is not enough memory to load the model",
            where=str(path),
            received=f"{type(error).__name__}; the file has {path.stat().st_size:,} bytes",
            remedies=[
                "close other programs and run again",
                "load the model on a machine with more memory",
            ],
        )
    first = next(iter(str(error).splitlines()), "")
    return DataError(
        "the model cannot be loaded",
        where=str(path),
        received=f"{type(error).__name__}: {first[:200]}",
        expected="a complete Keras 3 .keras file whose layers are known",
        remedies=["retrain it: regrow run", "import the module that defines its layers"],
    )


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise _too_large(path, f"{len(members):,} members", f"at most {MAX_MEMBERS:,}")
    config = archive.getinfo(CONFIG)
    if config.file_size > MAX_CONFIG_BYTES:
        raise _too_large(
            path,
            f"{CONFIG} of {config.file_size:,} bytes",
            f"at most {MAX_CONFIG_BYTES:,} bytes",
        )
    unpacked = sum(member.file_size for member in members)
    allowed = max(FREE_BYTES, MAX_EXPANSION * path.stat().st_size)
    if unpacked > allowed:
        largest = max(members, key=lambda member: member.file_size)
        raise _too_large(
            path,
            f"{unpacked:,} bytes when unpacked, mostly in {largest.filename}",
            f"at most {allowed:,} bytes",
        )


def _build_without_weights(config: dict[str, Any]) -> Any:
    import keras
    from keras.src.backend.common import global_state

    pending = "uninitialized_variables"
    before = list(global_state.get_global_attribute(pending, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            return keras.saving.deserialize_keras_object(_without_compiling(config))
    finally:
        # At the end of the next such scope, Keras would allocate the weights of this model.
        global_state.set_global_attribute(pending, before)


def _without_compiling(value: Any) -> Any:
    """A copy of a configuration in which no model is compiled: optimizers cannot be built so."""
    if isinstance(value, dict):
        return {k: _without_compiling(v) for k, v in value.items() if k != "compile_config"}
    return [_without_compiling(item) for item in value] if isinstance(value, list) else value


def _find_largest(model: Any) -> str:
    largest = max(model.variables, key=lambda variable: math.prod(variable.shape))
    return f"{largest.path} {tuple(largest.shape)}"


def _measure_rows(model: Any) -> Iterator[tuple[str, int]]:
    """How many numbers each layer answers with for one row, where that is known."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _measure_rows(layer)
        try:
            outputs = keras.tree.flatten(layer.output)
        except (AttributeError, ValueError):  # it is part of another layer, and has none
            continue
        for output in outputs:
            yield layer.name, math.prod(size or 1 for size in output.shape[1:])


def _too_large(path: Path, received: str, expected: str) -> DataError:
    return DataError(
        "the model is larger than its file can contain, and was not loaded",
        where=str(path),
        received=received,
        expected=expected,
        remedies=["if the file was changed, copy it again", "retrain it: regrow run"],
    )
