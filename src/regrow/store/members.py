"""Members of a class as code: what a member uses of its module, read without running it.

Of a class that says what a model is, only some members belong to a stage. Each counts with the
names that it uses in its module: other members, functions, constants, and imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from regrow.base.digests import digest_json
from regrow.store.code import PLUMBING, Codebase
from regrow.store.module import Module, Reference, digest_tree, is_type_checking

# Decorators of what runs when settings are made; values count after that.
AT_VALIDATION = {"field_validator", "model_validator", "field_serializer", "model_serializer"}
# With these a member can use what its code does not name.
UNREADABLE = {"globals", "locals", "vars", "exec", "eval", "__import__"}
BY_NAME = {"getattr", "setattr", "attrgetter", "methodcaller"}

Statements = dict[str, list[ast.stmt]]


@dataclass
class Used:
    """What members consist of.

    Attributes:
        digests: of the code of each member, by "Class.member".
        references: what this code imports and uses of other modules.
    """

    digests: dict[str, str] = field(default_factory=dict)
    references: list[tuple[Module, Reference]] = field(default_factory=list)


def read_members(
    codebase: Codebase, kinds: list[type], names: set[str], *, fields_count: bool = True
) -> Used:
    """The code of members of classes, with all that it uses.

    Where a member can use what it does not name, such as by `globals()`, or where the module has
    `from ... import *`, the whole module counts.

    Args:
        codebase: the declared packages.
        kinds: the classes; those of other packages are left out.
        names: the members, if a class has them.
        fields_count: whether annotated names count, which in settings are fields with values.
    """
    used = Used()
    for kind in kinds:
        module = codebase.find(kind.__module__)
        if module is None or module.name.startswith(PLUMBING):
            continue
        found = find_class(module, kind.__qualname__)
        if found is None:
            continue
        members = list_members(found, fields_count=fields_count)
        for name in sorted(members.keys() & names):
            code, references = _closure(module, found, members[name], members)
            used.digests[f"{kind.__qualname__}.{name}"] = digest_json(code)
            used.references += [(module, reference) for reference in references]
    return used


def find_class(module: Module, qualname: str) -> ast.ClassDef | None:
    """The definition of a class, which may be within other classes."""
    body: list[ast.stmt] = module.tree.body
    found: ast.ClassDef | None = None
    for part in qualname.split("."):
        found = next(
            (n for n in reversed(body) if isinstance(n, ast.ClassDef) and n.name == part), None
        )
        if found is None:
            return None
        body = found.body
    return found


def list_members(kind: ast.ClassDef, *, fields_count: bool) -> Statements:
    """The statements that define each member of a class."""
    members: Statements = {}
    for item in kind.body:
        if isinstance(item, ast.FunctionDef) and _runs_at_validation(item):
            continue
        if (
            isinstance(item, ast.AnnAssign)
            and not fields_count
            and "ClassVar" not in ast.dump(item.annotation)
        ):
            continue
        for name in _bound(item):
            members.setdefault(name, []).append(item)
    return members


def _runs_at_validation(function: ast.FunctionDef) -> bool:
    names = {
        getattr(n, "id", getattr(n, "attr", ""))
        for d in function.decorator_list
        for n in ast.walk(d)
    }
    return bool(names & AT_VALIDATION)


def _closure(
    module: Module, kind: ast.ClassDef, member: list[ast.stmt], members: Statements
) -> tuple[dict[str, str], list[Reference]]:
    """The digests of everything in the module that a member uses, and what that code refers to."""
    defined = _definitions(module)
    code: dict[str, str] = {}
    references: list[Reference] = []
    # What runs whenever the module is imported or the class is made can change any member.
    always = [node for node in module.tree.body if _always_runs(node)]
    special = [node for name, nodes in members.items() if _is_special(name) for node in nodes]
    waiting: list[tuple[str, ast.AST]] = [
        *(("", node) for node in member),
        *(("import", node) for node in always),
        *((".", node) for node in special),
        *(("class", node) for node in _of_class(kind)),
    ]
    seen: set[int] = set()
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            references += _imported(module, node, name)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        references += [r for r in module.references if r.line in _lines(node)]
        if reason := _why_unreadable(node):
            return {f"the whole module, because of {reason}": module.digest}, module.references
        digest = digest_tree(ast.Module([node], []))  # type: ignore[list-item]
        code[f"{name} {len(code)}" if name in code else name] = digest
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                waiting += [(part.id, each) for each in defined.get(part.id, ())]
            elif attribute := _attribute(part):
                waiting += [(f".{attribute}", each) for each in members.get(attribute, ())]
    if "*" in defined:
        return {"the whole module, because of from ... import *": module.digest}, module.references
    return dict(sorted(code.items())), references


def _of_class(kind: ast.ClassDef) -> Iterator[ast.AST]:
    """What a class statement evaluates beside its body: decorators, bases, keywords."""
    yield from kind.decorator_list
    yield from kind.bases
    yield from (keyword.value for keyword in kind.keywords)


def _attribute(node: ast.AST) -> str:
    """The name that `a.name` or `getattr(a, "name")` reads; "" for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
        named = node.args[1] if len(node.args) > 1 else None
        return str(named.value) if isinstance(named, ast.Constant) else ""
    return ""


def _imported(module: Module, node: ast.Import | ast.ImportFrom, name: str) -> Iterator[Reference]:
    """What one name of an import statement refers to, and not the others there."""
    whole = next((a.name for a in node.names if (a.asname or a.name.partition(".")[0]) == name), "")
    here = [reference for reference in module.references if reference.line in _lines(node)]
    for found in here:
        if found.name == whole or found.name.endswith(f".{whole}"):
            yield from (r for r in here if f"{found.name}.".startswith(f"{r.name}."))


def _definitions(module: Module) -> Statements:
    """The statements at the top of a module that bind each name."""
    defined: Statements = {}
    for node in module.tree.body:
        for name in _bound(node):
            defined.setdefault(name, []).append(node)
    return defined


def _bound(node: ast.stmt) -> set[str]:
    """The names that a statement binds where it stands."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.If) and is_type_checking(node):
        return set().union(*(_bound(each) for each in node.orelse))
    names: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, ast.FunctionDef | ast.ClassDef):
            names.add(part.name)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            names |= {(a.asname or a.name).partition(".")[0] for a in part.names}
    return names


def _always_runs(node: ast.stmt) -> bool:
    """Whether a statement does more than to bind a name: a call, a condition, a loop."""
    plain = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    if isinstance(node, plain | ast.AnnAssign) or is_type_checking(node):
        return False
    if isinstance(node, ast.Assign):
        return not all(isinstance(target, ast.Name | ast.Tuple) for target in node.targets)
    return not isinstance(node, ast.Pass)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in ("__doc__", "__slots__")


def _why_unreadable(node: ast.AST) -> str:
    """What in a statement can use names that it does not state; "" for nothing."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in UNREADABLE:
            return f"{part.id} in line {part.lineno}"
        if isinstance(part, ast.Attribute) and part.attr == "__dict__":
            return f"__dict__ in line {part.lineno}"
        if isinstance(part, ast.Call):
            called = getattr(part.func, "id", getattr(part.func, "attr", ""))
            named = part.args[1:2] if called in ("getattr", "setattr") else part.args[:1]
            if called in BY_NAME and not all(isinstance(a, ast.Constant) for a in named):
                return f"{called} in line {part.lineno}"
    return ""


def _lines(node: Any) -> range:
    start = getattr(node, "lineno", 0)
    decorators = [d.lineno for d in getattr(node, "decorator_list", ())]
    return range(min([start, *decorators]), (getattr(node, "end_lineno", start) or start) + 1)
