"""The classes in a saved model: those that are not known to be safe are refused, before anything is
imported or built.

Keras finds a class by the name that it was registered with, or by its module, which it imports. So
the model's configuration is read first. Allowed are Keras's own classes, except those that run code
or read files that the model names, and classes of the declared packages.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from regrow.base.errors import DataError
from regrow.base.project import find_module, list_packages

# Keras's layers that are not loaded, and why.
REFUSED = {
    "Lambda": "it runs code from the file",
    "TFSMLayer": "it runs a SavedModel from a path in the file",
    "TorchModuleWrapper": "it unpickles data from the file",
    "JaxLayer": "it runs code from the file",
    "FlaxLayer": "it runs code from the file",
}
KERAS_NAMESPACES = (
    "layers",
    "initializers",
    "regularizers",
    "constraints",
    "dtype_policies",
    "quantizers",
    "random",
    "losses",
    "metrics",
    "optimizers",
    "optimizers.schedules",
)
MODELS = ("Model", "Sequential", "Functional")
FUNCTION_NAMESPACES = ("activations", "losses", "metrics", "ops")
# Values that Keras encodes as if they were of a class; what is in them is checked as well.
VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
# Settings of Keras's layers that may be a list or the path of a file.
FILE_SETTINGS = ("vocabulary", "idf_weights")
MARK = "register_keras_serializable"


@dataclass(frozen=True)
class Named:
    """A class or function that a model's configuration names, and where."""

    module: str
    name: str
    registered: str
    is_function: bool
    place: str
    config: Any

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module else self.name


def import_classes(config: Mapping[str, Any], path: Path) -> None:
    """Checks every class that a model's configuration names, and imports those of our own.

    Raises:
        DataError: a class or function is not allowed.
    """
    packages = list_packages()
    named = list(_find_named(config, ""))
    for one in named:
        _check(one, path, packages)
    for module in sorted({one.module for one in named if _top(one.module) in packages}):
        if (
            find_module(packages, module) is not None
        ):  # else it was moved, and may be registered by now
            importlib.import_module(module)
    for one in named:
        _check_registered(one, path, packages)


def _find_named(value: Any, place: str) -> Iterator[Named]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find_named(item, f"{place}[{number}]")
    elif isinstance(value, dict):
        name = value.get("class_name")
        if "config" in value and isinstance(name, str) and name not in VALUES:
            is_function = name == "function"
            if is_function:
                name = str(value["config"])
            yield Named(
                module=str(value.get("module") or ""),
                name=name,
                registered=name if is_function else str(value.get("registered_name") or name),
                is_function=is_function,
                place=place or "config.json",
                config=value["config"],
            )
        for key, item in value.items():
            yield from _find_named(item, f"{place}.{key}" if place else str(key))


def _check(one: Named, path: Path, packages: Mapping[str, Path]) -> None:
    """Makes sure that a class is allowed; imports nothing."""
    if one.name in REFUSED or one.name == "__lambda__":
        why = REFUSED.get(one.name, REFUSED["Lambda"])
        raise _refuse(one, path, packages, why)
    if _top(one.module) in packages:
        source = find_module(packages, one.module)
        if source is not None and MARK not in source.read_text(encoding="utf-8"):
            raise _refuse(one, path, packages, "its module does not register classes with Keras")
        return
    known = _is_function_of_keras if one.is_function else _is_class_of_keras
    if not known(one):
        raise _refuse(one, path, packages, "it is not part of Keras or a declared package")
    if isinstance(one.config, dict):
        for setting in FILE_SETTINGS:
            if isinstance(one.config.get(setting), str):
                raise _refuse(one, path, packages, f"its {setting} would be read from a file")


def _check_registered(one: Named, path: Path, packages: Mapping[str, Path]) -> None:
    """Makes sure that what Keras takes for a name is allowed, whatever module the file states."""
    import keras

    found = keras.saving.get_registered_object(one.registered)
    of_ours = _top(getattr(found, "__module__", None) or "") in packages
    if found is not None and not of_ours and found not in _allowed_classes():
        raise _refuse(one, path, packages, f"its registered name is of {found.__module__}")
    if found is None and _top(one.module) in packages:
        raise DataError(
            "the model cannot be loaded: it contains an unknown class",
            where=f"{path}, {one.place}",
            received=str(one),
            expected=f"a class registered with Keras as {one.registered}",
            remedies=["import the module that defines it", "retrain it: regrow run"],
        )


def _is_class_of_keras(one: Named) -> bool:
    """Whether a model may consist of this class of Keras, which has imported all its modules."""
    import keras

    module = sys.modules.get(one.module) if _top(one.module) == "keras" else None
    found = vars(module).get(one.name) if module else None
    if not isinstance(found, type) or found in _allowed_classes():
        return isinstance(found, type)
    is_operation = issubclass(found, keras.Operation) and not issubclass(found, keras.layers.Layer)
    return is_operation and found.__module__.startswith("keras.src.ops.")


@cache
def _allowed_classes() -> frozenset[type]:
    import keras

    models = vars(sys.modules["keras.src.models"])
    found = {models[name] for name in MODELS if name in models}
    for namespace in KERAS_NAMESPACES:
        module = sys.modules[f"keras.{namespace}"]
        found |= {value for value in vars(module).values() if isinstance(value, type)}
    return frozenset(
        {*found, keras.DTypePolicy, keras.Model, keras.Sequential}
        - {getattr(keras.layers, name, None) for name in REFUSED}
    )


def _is_function_of_keras(one: Named) -> bool:
    if one.module not in ("builtins", *(f"keras.{name}" for name in FUNCTION_NAMESPACES)):
        return False
    return any(
        callable(vars(sys.modules[f"keras.{namespace}"]).get(one.name))
        for namespace in FUNCTION_NAMESPACES
    )


def _top(module: str) -> str:
    return module.partition(".")[0]


def _refuse(one: Named, path: Path, packages: Mapping[str, Path], why: str) -> DataError:
    kind = "function" if one.is_function else "class"
    return DataError(
        f"the model contains a {kind} that is not loaded: {why}",
        where=f"{path}, {one.place}",
        received=str(one),
        expected=f"Keras layers, and classes that {', '.join(packages)} register with Keras",
        remedies=[
            "write it as a separate layer class, like those in src/regrow/layers, and save the "
            "model again",
            "if it is from a package that you trust, add the package to packages in regrow.toml",
        ],
    )
