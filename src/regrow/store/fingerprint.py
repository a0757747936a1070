"""Fingerprints: everything that can change a stage's result, and nothing else.

A fingerprint is the SHA-256 of: the code of the stage and of every module of the declared packages
that it imports (comments, docstrings and layout left out); what its model's specification says of
it; the settings that it reads, and the code that derives others from them; the digests of its
inputs; the versions of the libraries that this code imports; and Keras's own settings.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from regrow.base.digests import digest_file
from regrow.base.keras_settings import KerasSettings
from regrow.base.spec import ModelConfig
from regrow.store.code import Codebase, Followed
from regrow.store.derived import derived_settings
from regrow.store.members import read_members

# Where a library's import name is not its distribution's name.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
BACKENDS = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib"), "torch": ("torch",)}
# Reads and writes the weights that Keras saves.
BEHIND_KERAS = ("h5py",)

Components = dict[str, dict[str, Any]]
"""The parts of a fingerprint, each a mapping: see `PARTS`."""

# The parts, and what `explain` calls one value of them.
PARTS = {
    "code": "code of",
    "specification": "specification",
    "config": "setting",
    "derived": "derived setting",
    "inputs": "input",
    "libraries": "library",
    "keras": "Keras's setting",
}
DIGESTS = ("code", "derived", "inputs")


def collect(
    roots: Iterable[str],
    *,
    codebase: Codebase,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    specification: Mapping[str, Any] | None = None,
    settings: type[ModelConfig] | None = None,
    files: Mapping[str, Path] | None = None,
    members: tuple[type, Collection[str]] | None = None,
    declared: bool = False,
    trained_by: Iterable[str] = (),
    keras: KerasSettings | None = None,
) -> Components:
    """Gathers everything that a stage's result depends on.

    Args:
        roots: modules that hold the stage's code.
        codebase: the declared packages.
        config: the settings that the stage reads.
        inputs: digests by input name.
        specification: what the model's specification says of the stage.
        settings: the class of the settings; its properties and methods count where they are used.
        files: further files that count as code, such as templates, by a name for each.
        members: a class, and the names of those of its members that the stage uses.
        declared: whether `files` name what cannot be followed by reading the code.
        trained_by: modules whose Keras classes are in the models that the stage loads.
        keras: Keras's settings; they count where Keras is imported.

    Raises:
        UserError: code is in no declared package, or cannot be followed by reading it.
    """
    keras = keras or KerasSettings()
    followed = codebase.follow(roots, declared=declared)
    layers = codebase.follow(trained_by, declared=declared).modules.values()
    kind, names = members or (object, ())
    own = read_members(codebase, list(kind.__mro__), set(names))
    derived = derived_settings(codebase, settings, followed)
    followed = codebase.follow(
        [*followed.modules, *(m.name for m in layers if m.defines_keras_classes)],
        references=[*own.references, *derived.references],
        declared=declared,
    )
    libraries = _list_libraries(followed, keras.backend)
    code = {name: module.digest for name, module in followed.modules.items()} | own.digests
    code |= {_name_file(codebase, path): digest_file(path) for path in followed.files}
    code |= {name: digest_file(path) for name, path in (files or {}).items()}
    return {
        "code": code,
        "specification": dict(specification or {}),
        "config": dict(config),
        "derived": derived.digests,
        "inputs": dict(inputs),
        "libraries": {name: library_version(name) for name in sorted(libraries)},
        "keras": keras.as_json() if "keras" in libraries else {},
    }


def explain(old: Components, new: Components) -> list[str]:
    """Says in words what differs between two fingerprints' components."""
    differences: list[str] = []
    for part, label in PARTS.items():
        before, after = old.get(part, {}), new.get(part, {})
        for name in sorted(before.keys() | after.keys()):
            if name not in after:
                differences.append(f"{label} {name} is no longer used")
            elif name not in before:
                differences.append(f"{label} {name} is new")
            elif before[name] != after[name]:
                was, now = _short(part, before[name]), _short(part, after[name])
                differences.append(f"{label} {name} changed: {was} -> {now}")
    return differences


@cache
def library_version(name: str) -> str:
    """The installed version of a library, by its import name; "not installed" where it is not."""
    if name == "python":
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(name, name))
    except importlib.metadata.PackageNotFoundError:
        pass
    versions = sorted(
        f"{distribution} {importlib.metadata.version(distribution)}"
        for distribution in set(importlib.metadata.packages_distributions().get(name, ()))
    )
    return ", ".join(versions) or "not installed"


def _list_libraries(followed: Followed, backend: str) -> set[str]:
    """The libraries that count: of Keras's backends the one in use, and any imported at once.

    Code for all backends imports each of them inside a function, where it may never be run.
    """
    unused = {name for of, names in BACKENDS.items() if of != backend for name in names}
    found = {n for n, at_once in followed.libraries.items() if at_once or n not in unused}
    if "keras" in found:
        found |= {*BACKENDS[backend], *BEHIND_KERAS}
    return found | {"python"}


def _name_file(codebase: Codebase, path: Path) -> str:
    for name, folder in codebase.packages.items():
        if path.is_relative_to(folder):
            return f"{name}/{path.relative_to(folder).as_posix()}"
    return path.name


def _short(part: str, value: Any) -> str:
    return str(value)[:12] if part in DIGESTS else str(value)
