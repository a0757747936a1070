"""One Python module as source code: what it imports and uses, and the digest of its code."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from regrow.base.errors import UserError

PACKAGE = "regrow"
LOADERS = {
    "importlib.import_module",
    "__import__",
    "regrow.base.spec.load",
    "regrow.load",
}
UNREADABLE = {
    "exec",
    "eval",
    "runpy.run_path",
    "runpy.run_module",
    "importlib.util.spec_from_file_location",
}


@dataclass(frozen=True)
class Reference:
    """A dotted name that a module imports or uses; `late` where a function body imports it."""

    name: str
    line: int
    late: bool


def digest_source(source: str) -> str:
    """SHA-256 (hex) of Python code without its comments, docstrings and layout."""
    return digest_tree(parse_code(source))


def parse_code(source: str, path: Path | str = "<unknown>") -> ast.Module:
    """Parsed Python code without its docstrings."""
    tree = ast.parse(source, str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_bare_string(statement)]
    return tree


def digest_tree(tree: ast.Module) -> str:
    """SHA-256 (hex) of what `parse_code` returned."""
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@dataclass(frozen=True)
class Module:
    """The source of one module, parsed."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        """The name of the package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @cached_property
    def digest(self) -> str:
        """The digest of the code."""
        return digest_tree(self.tree)

    @cached_property
    def references(self) -> list[Reference]:
        """Every import that is not for type checkers, and every dotted use of what it binds."""
        reader = _References(self)
        reader.visit(self.tree)
        return reader.found

    @cached_property
    def attributes(self) -> set[str]:
        """The names of all attributes that the code reads or sets."""
        return {node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}

    @cached_property
    def defines_keras_classes(self) -> bool:
        """Whether saved models may hold classes of this module."""
        return "register_keras_serializable" in self.attributes | {
            node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)
        }


class _References(ast.NodeVisitor):
    """Collects the references of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.found: list[Reference] = []
        self.bound: dict[str, str] = {}
        self.depth = 0
        for node in _executed_nodes(module.tree):  # first, as a function may use a later import
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self.bound[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                for alias in node.names:
                    self.bound[alias.asname or alias.name] = f"{base}.{alias.name}"

    def _base(self, node: ast.ImportFrom) -> str:
        parts = self.module.package.split(".")
        prefix = parts[: len(parts) - node.level + 1] if node.level else []
        return ".".join([*prefix, *([node.module] if node.module else [])])

    def _add(self, name: str, node: ast.AST) -> None:
        self.found.append(Reference(name, getattr(node, "lineno", 0), self.depth > 0))

    def visit_If(self, node: ast.If) -> None:
        if is_type_checking(node):
            for branch in node.orelse:
                self.visit(branch)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._base(node)
        if base == PACKAGE and any(alias.name == "*" for alias in node.names):
            raise cannot_follow(self.module, node.lineno, "from regrow import *")
        if base != PACKAGE:
            self._add(base, node)
        for alias in node.names:
            self._add(f"{base}.{alias.name}", node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if (name := self._dotted(node)) is not None:
            self._add(name, node)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == "__file__":
            self._add("__file__", node)

    def visit_Call(self, node: ast.Call) -> None:
        called = self._dotted(node.func) or getattr(node.func, "id", "")
        constant = _constant(node.args[0]) if node.args else None
        if called in LOADERS:
            self._follow_loader(node, called, constant)
        elif called in UNREADABLE and called not in self.bound:
            self._add(f"!{called}()", node)
        elif called == "getattr" and len(node.args) > 1:
            self._follow_getattr(node)
        self.generic_visit(node)

    def _follow_loader(self, node: ast.Call, called: str, target: str | None) -> None:
        if target is None:
            self._add(f"!{called}() of a name that is not a constant", node)
            return
        name = target.partition(":")[0]
        dots = len(name) - len(name.lstrip("."))
        if dots:
            parts = self.module.package.split(".")
            name = ".".join([*parts[: len(parts) - dots + 1], name.lstrip(".")])
        self._add(name, node)

    def _follow_getattr(self, node: ast.Call) -> None:
        base = self._dotted(node.args[0])
        if base is None:
            return
        name = _constant(node.args[1])
        # Of a class or a library any attribute is part of what is counted already; of a package of
        # ours it may be a module. `Codebase.follow` tells which of them `base` is.
        self._add(f"{base}.{name}" if name else f"?{base}", node)

    def _dotted(self, node: ast.expr) -> str | None:
        """The full name behind `a.b.c`, if `a` is bound by an import."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.bound:
            return None
        return ".".join([self.bound[node.id], *reversed(parts)])


def _is_bare_string(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def is_type_checking(node: ast.AST) -> bool:
    """Whether a statement is a block that only a type checker sees."""
    test = node.test if isinstance(node, ast.If) else None
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _executed_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    yield node
    children = node.orelse if is_type_checking(node) else ast.iter_child_nodes(node)  # type: ignore[attr-defined]
    for child in children:
        yield from _executed_nodes(child)


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def cannot_follow(module: Module, line: int, what: str) -> UserError:
    """The error of code that a fingerprint would miss."""
    return UserError(
        "the code that a stage runs cannot be determined, so changes would not be detected",
        where=f"{module.path}:{line}",
        received=what,
        expected="an import statement, or a constant name",
        remedies=["import the module by name", "or list the files in ModelSpec.files"],
    )
