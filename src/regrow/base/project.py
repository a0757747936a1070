"""The models of the project in use, of installed packages, and of regrow itself.

A model is a Python package that holds a subclass of `regrow.Model` in its `model.py`, or a
`ModelSpec` named SPEC in its `spec.py`. regrow.toml lists those of a project; an installed package
names its own by entry points of the group `regrow.models`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from regrow.base.errors import UserError
from regrow.base.project_file import (
    FILE,
    PACKAGE_DIR,
    find_project,
    read_project,
    shipped_project,
)
from regrow.base.spec import ModelSpec

GROUP = "regrow.models"
# Where a package may say what its model is.
MODULES = ("spec", "model")


def list_models(*, shipped: bool = False) -> list[str]:
    """The names of the models of the project and of installed packages, sorted.

    Args:
        shipped: whether regrow's own models are listed in another project as well.
    """
    names = {**_installed(), **_own()}
    if shipped or find_project() == shipped_project():
        names |= _shipped()
    return sorted(names)


def get_spec(name: str) -> ModelSpec:
    """The model's specification; imports nothing heavy.

    Raises:
        UserError: there is no such model, two have this name, or its package is wrong.
    """
    found = [group[name] for group in (_own(), _installed(), _shipped()) if name in group]
    packages = list(dict.fromkeys(found))
    if len(packages) > 1:
        raise UserError(
            f"two models are named {name!r}",
            where=str(find_project() / FILE),
            received=", ".join(packages),
            expected="a unique name for each model",
            remedies=["rename the package in the project"],
        )
    if not packages:
        names = list_models(shipped=True)
        near = difflib.get_close_matches(name, names, n=1)
        raise UserError(
            f"there is no model {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
            where=str(find_project() / FILE),
            received=name,
            expected=", ".join(names),
            remedies=["regrow list shows all models", f"regrow new {name} creates it"],
        )
    return _load_spec(name, packages[0])


def load_specs(names: Iterable[str]) -> tuple[list[ModelSpec], dict[str, UserError]]:
    """The specifications of several models, and what is wrong with those that have none."""
    specs: list[ModelSpec] = []
    errors: dict[str, UserError] = {}
    for name in names:
        try:
            specs.append(get_spec(name))
        except UserError as error:
            errors[name] = error
    return specs, errors


def list_packages() -> dict[str, Path]:
    """The folder (or file) of every package whose code counts in fingerprints, by its name.

    Raises:
        UserError: a declared package cannot be found.
    """
    declared = read_project(find_project())
    names = [*declared.models, *declared.packages, *_installed().values()]
    packages = {"regrow": PACKAGE_DIR}
    for top in dict.fromkeys(name.partition(".")[0] for name in names):
        if top not in packages:
            packages[top] = _locate(top)
    return packages


def find_module(packages: Mapping[str, Path], name: str) -> Path | None:
    """The file of a module of a declared package, found without importing it; None for no module.

    Args:
        packages: see `list_packages`.
        name: the module's full name.
    """
    top, *rest = name.split(".")
    base = packages.get(top)
    if base is None:
        return None
    if base.is_file():
        return None if rest else base
    base = base.joinpath(*rest)
    # As Python does: a package comes before a module of the same name.
    candidates = [base / "__init__.py", *([base.with_suffix(".py")] if rest else [])]
    return next((path for path in candidates if path.is_file()), None)


def _by_name(packages: Iterable[str]) -> dict[str, str]:
    """Packages by the names of their models."""
    return {name.rpartition(".")[2].replace("_", "-"): name for name in packages}


def _own() -> dict[str, str]:
    root = find_project()
    if root != shipped_project() and str(root) not in sys.path:
        sys.path.append(str(root))  # last, so that no folder hides a module of Python
    return _by_name(read_project(root).models)


def _shipped() -> dict[str, str]:
    return _by_name(read_project(shipped_project()).models)


@cache
def _installed() -> dict[str, str]:
    return {
        entry.name: entry.value.partition(":")[0]
        for entry in importlib.metadata.entry_points(group=GROUP)
    }


def _locate(package: str) -> Path:
    """The folder of a package, or the file of a module."""
    root = find_project()
    own = root / package
    spec = importlib.util.find_spec(package)
    places = [*(spec.submodule_search_locations or []), spec.origin] if spec else []
    place = Path(places[0]) if places and places[0] is not None else None
    if place is None or (own.is_dir() and place != own):
        raise UserError(
            f"the package {package!r} cannot be found"
            if place is None
            else f"another package is named {package!r}",
            where=str(root / FILE),
            received=package if place is None else str(place),
            expected=f"a package that Python can import, such as the folder {own}",
            remedies=[] if place is None else [f"rename {own}"],
        )
    return place


def _load_spec(name: str, package: str) -> ModelSpec:
    _locate(package.partition(".")[0])
    problem, where = "", package
    for module in MODULES:
        full = f"{package}.{module}"
        if find_module(_folders(package), full) is None:
            continue
        spec, problem = _find_spec(_import(name, full), full)
        if spec is not None and spec.name == name:
            return spec
        where = full
        if spec is not None:
            problem = f"a model with the name {spec.name!r}"
        break
    raise UserError(
        f"the package of the model {name!r} does not define the model",
        where=where,
        received=problem or "neither a model.py nor a spec.py",
        expected=f"a subclass of regrow.Model in {package}.model, or a ModelSpec named SPEC in "
        f"{package}.spec, with the name {name!r}",
        remedies=[f"regrow new {name} creates a model in an empty folder"],
    )


def _folders(package: str) -> dict[str, Path]:
    top = package.partition(".")[0]
    return {top: PACKAGE_DIR if top == "regrow" else _locate(top)}


def _find_spec(module: ModuleType, name: str) -> tuple[ModelSpec | None, str]:
    """The specification in a module, or what is there in its place."""
    found: Any = getattr(module, "SPEC", None)
    if isinstance(found, ModelSpec):
        return found, ""
    if name.endswith(".spec"):
        return None, "no ModelSpec named SPEC"
    models = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and hasattr(value, "make_spec") and value.__module__ == name
    ]
    if len(models) != 1:
        return None, f"{len(models)} subclasses of regrow.Model"
    return models[0].make_spec(), ""


def _import(model: str, name: str) -> ModuleType:
    """Imports a module of a model; what its own code raises is for the user to correct."""
    try:
        return importlib.import_module(name)
    except UserError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1]
        line = getattr(error, "lineno", None) or last.lineno
        file = getattr(error, "filename", None) or last.filename
        raise UserError(
            f"the model {model!r} cannot be loaded",
            where=f"{file}:{line}",
            received=f"{type(error).__name__}: {error}".splitlines()[0],
            expected="a module that can be imported",
        ) from error
