"""Fingerprints: what a stage's result depends on, found without importing any of it.

A fingerprint is the SHA-256 of four things: the code of the stage and of every in-repo module that
it imports, directly or not (comments, docstrings and layout left out); its slice of the settings;
the digests of its inputs; the versions of the libraries that this code imports.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "regrow"
PACKAGE_DIR = Path(__file__).resolve().parents[1]

# Where a library's import name is not its distribution's name.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}

Components = dict[str, dict[str, Any]]
"""The parts of a fingerprint: "code", "config", "inputs", "libraries", each a mapping."""


def digest_json(value: Any) -> str:
    """SHA-256 (hex) of a JSON value, the same for equal values whatever their order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_source(source: str) -> str:
    """SHA-256 (hex) of Python code without its comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and isinstance(
            node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            node.body = [n for n in body if not _is_bare_string(n)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def collect(
    roots: Iterable[str],
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    files: Iterable[Path] = (),
    backend: str = "tensorflow",
) -> Components:
    """Gathers what a stage's result depends on.

    Args:
        roots: in-repo modules that hold the stage's code.
        config: the settings that the stage reads.
        inputs: digests by input name.
        files: further files that count as code, such as templates.
        backend: the library that does Keras's work; its version counts where Keras is imported.
    """
    code: dict[str, str] = {}
    libraries = {"python"}
    for module in sorted(_reachable(roots)):
        path = _module_path(module)
        if path is None:
            continue
        source = path.read_text(encoding="utf-8")
        code[module] = digest_source(source)
        libraries |= {
            name.partition(".")[0]
            for name in _imports(ast.parse(source), module, path.name == "__init__.py")
            if name.partition(".")[0] not in sys.stdlib_module_names | {PACKAGE, "__future__"}
        }
    code |= {file.relative_to(PACKAGE_DIR).as_posix(): digest_file(file) for file in files}
    if "keras" in libraries:
        libraries.add(backend)
    return {
        "code": code,
        "config": dict(config),
        "inputs": dict(inputs),
        "libraries": {name: library_version(name) for name in sorted(libraries)},
    }


def explain(old: Components, new: Components) -> list[str]:
    """Says in words what differs between two fingerprints' components."""
    differences: list[str] = []
    labels = {"code": "code of", "config": "setting", "inputs": "input", "libraries": "library"}
    for part, label in labels.items():
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
        return "not installed"


def _short(part: str, value: Any) -> str:
    return str(value)[:12] if part in ("code", "inputs") else str(value)


def _is_bare_string(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _reachable(roots: Iterable[str]) -> set[str]:
    """The in-repo modules that `roots` import, directly or not, with the packages above them."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module in found or (path := _module_path(module)) is None:
            continue
        found.add(module)
        waiting.extend(module.rpartition(".")[:1])
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting.extend(
            name
            for name in _imports(tree, module, path.name == "__init__.py")
            if name.partition(".")[0] == PACKAGE
        )
    return found


def _module_path(module: str) -> Path | None:
    if module.partition(".")[0] != PACKAGE:
        return None
    base = PACKAGE_DIR.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Every module name that the code may import, wherever the statement stands.

    Imports for type checkers only (`if TYPE_CHECKING:`) change no result and are left out.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            for branch in node.orelse:
                yield from _imports(branch, module, is_package)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            keep = len(parts) - node.level + (1 if is_package else 0)
            prefix = parts[:keep] if node.level else []
            base = ".".join([*prefix, *([node.module] if node.module else [])])
            yield base
            # `from package import name`: the name may be a module of its own.
            yield from (f"{base}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node, module, is_package)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
