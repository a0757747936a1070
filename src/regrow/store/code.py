"""Which modules, files and libraries the code of a stage consists of, read without importing it.

Only the declared packages are followed: regrow and those of the project's models. A reference that
cannot be followed by reading is an error, because its code would be missing from the fingerprint.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from regrow.base.errors import UserError
from regrow.base.project import find_module
from regrow.store.module import Module, Reference, cannot_follow, parse_code

# Cannot change what a stage produces: messages, locks, paths, atomic writes, the store itself.
PLUMBING = ("regrow.base", "regrow.store")
# Says what a model is made of; its members count one by one: see `read_members`.
DECLARATIONS = ("regrow.tabular.model",)
# Packages that only name what their modules define: a name counts as the module behind it.
RE_EXPORTING = ("regrow", "regrow.layers")
# Load the functions of a model's specification, which `Pipeline.components` names as roots.
FOLLOWED_ELSEWHERE = ("regrow.pipeline", "regrow.registry")
FILE_READERS = ("importlib.resources", "pkgutil.get_data")
NOT_DATA = {".py", ".pyc", ".pyi", ".md"}


@dataclass
class Followed:
    """What the code of a stage consists of: modules, data files, and imported libraries."""

    modules: dict[str, Module] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    libraries: dict[str, bool] = field(default_factory=dict)
    """By import name: whether any module imports it outside of a function."""


class Codebase:
    """The declared packages.

    Args:
        packages: the folder of each package, or the file of a single module, by its name.
    """

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self.packages = packages

    def find(self, name: str) -> Module | None:
        """The module of a declared package with this name; None if there is none."""
        path = find_module(self.packages, name)
        if path is None:
            return None
        status = path.stat()
        return _parse(name, path, status.st_mtime_ns, status.st_size)

    def locate(self, name: str) -> Path:
        """The file "package/path" of a declared package.

        Raises:
            UserError: there is no such file.
        """
        package, _, path = name.partition("/")
        folder = self.packages.get(package)
        if folder is None or not (folder / path).is_file():
            raise UserError(
                f"the file {name!r} does not exist",
                where="ModelSpec.files",
                received=name,
                expected=f"a path such as {next(iter(self.packages))}/words.txt",
            )
        return folder / path

    def public(self, name: str) -> str:
        """The full name of what a re-exporting package offers under a name."""
        for package in RE_EXPORTING:
            parts = name.removeprefix(f"{package}.").split(".")
            if name.startswith(f"{package}.") and self.find(f"{package}.{parts[0]}") is None:
                module = self.find(package)
                defined = _re_exports(module).get(parts[0]) if module else None
                if defined is not None:
                    return ".".join([defined, *parts])
        return name

    def follow(
        self,
        roots: Iterable[str],
        *,
        references: Iterable[tuple[Module, Reference]] = (),
        declared: bool = False,
    ) -> Followed:
        """Everything that the modules `roots` import, directly or not.

        Args:
            roots: names of modules.
            references: further imports and uses, each with the module that has them.
            declared: whether the model declares the files that cannot be followed by reading.

        Raises:
            UserError: a root or an import is outside the declared packages, or cannot be followed.
        """
        followed = Followed()
        waiting = []
        for root in roots:
            if self.find(root) is None:
                raise _undeclared(root, root, list(self.packages))
            waiting.append(root)
        for module, reference in references:
            waiting.extend(self._resolve(module, reference, followed, declared))
        while waiting:
            name = waiting.pop()
            for module in self._executed(name):
                if module.name in followed.modules:
                    continue
                followed.modules[module.name] = module
                for reference in module.references:
                    waiting.extend(self._resolve(module, reference, followed, declared))
        return followed

    def _executed(self, name: str) -> Iterator[Module]:
        """The modules that importing a dotted name runs: those above it, and itself."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            prefix = ".".join(parts[:end])
            if prefix in RE_EXPORTING or _is_below(prefix, (*PLUMBING, *DECLARATIONS)):
                continue
            if (module := self.find(prefix)) is not None:
                yield module

    def _resolve(
        self, module: Module, reference: Reference, followed: Followed, declared: bool
    ) -> Iterator[str]:
        name = reference.name
        if name.startswith(("!", "?")):
            is_ours = name[0] == "!" or self._is_package(name[1:])
            if is_ours and not declared and not _is_below(module.name, FOLLOWED_ELSEWHERE):
                what = name[1:] if name[0] == "!" else f"getattr({name[1:]}, ...)"
                raise cannot_follow(module, reference.line, what)
            return
        if name == "__file__" or _is_below(name, FILE_READERS):
            followed.files |= _data_files(module, reference.line, declared)
            return
        name = self.public(name)
        top = name.partition(".")[0]
        if top in self.packages:
            yield name
        elif top and top not in sys.stdlib_module_names:
            _check_library(module, reference, top, list(self.packages))
            followed.libraries[top] = followed.libraries.get(top, False) or not reference.late

    def _is_package(self, name: str) -> bool:
        module = self.find(name)
        return module is not None and module.path.name == "__init__.py"


@lru_cache(maxsize=4096)
def _parse(name: str, path: Path, _mtime_ns: int, _size: int) -> Module:
    return Module(name, path, parse_code(path.read_text(encoding="utf-8"), path))


def _re_exports(module: Module) -> dict[str, str]:
    """The module that defines each name which a package offers: imported, or in `PUBLIC`."""
    found: dict[str, str] = {}
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: node.module for alias in node.names}
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PUBLIC":
            found |= ast.literal_eval(node.value)
    return found


def _is_below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _data_files(module: Module, line: int, declared: bool) -> set[Path]:
    """The data files in the folder of a module that reads files beside itself."""
    if "." not in module.name and module.path.name != "__init__.py":
        if declared:
            return set()
        raise cannot_follow(module, line, "a file next to a module that is not in a package")
    return {
        path
        for path in module.path.parent.rglob("*")
        if path.is_file() and path.suffix not in NOT_DATA and not path.name.startswith(".")
    }


@lru_cache
def _library_origin(name: str) -> str | None:
    """Where a library that is not installed as a distribution lies; None for any other."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = [spec.origin, *(spec.submodule_search_locations or [])] if spec else []
    paths = [Path(place) for place in places if place and place not in ("built-in", "frozen")]
    installed = {"site-packages", "dist-packages"}
    return str(paths[0]) if paths and not any(installed & {*p.parts} for p in paths) else None


def _check_library(module: Module, reference: Reference, top: str, packages: list[str]) -> None:
    if origin := _library_origin(top):
        raise _undeclared(top, f"{module.path}:{reference.line} ({origin})", packages)


def _undeclared(name: str, where: str, packages: list[str]) -> UserError:
    return UserError(
        f"the code of {name!r} is not in a declared package, so changes would not be detected",
        where=where,
        received=name,
        expected=f"a module of {', '.join(packages)}, or an installed library",
        remedies=[f'add "{name.partition(".")[0]}" to packages in regrow.toml'],
    )
