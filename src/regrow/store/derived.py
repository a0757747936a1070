"""Settings that a settings' class derives from others: the code of its properties and methods.

Fields count by value. What a property or a method makes of them, and the constants that it reads,
is code in `spec.py`, which stages do not import; so each counts where a stage uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from regrow.base.spec import ModelConfig
from regrow.store.code import Codebase, Followed
from regrow.store.members import Used, read_members


def derived_settings(
    codebase: Codebase, settings: type[ModelConfig] | None, followed: Followed
) -> Used:
    """The derived settings that the code of a stage uses, with their code."""
    used = {name for module in followed.modules.values() for name in module.attributes}
    kinds = list(_classes(settings)) if settings else []
    return read_members(codebase, kinds, used, fields_count=False)


def _classes(settings: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The settings' class with its bases, and the classes of nested settings."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [settings]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind in found or kind in (BaseModel, ModelConfig):
                continue
            found.add(kind)
            waiting += kind.__bases__
            waiting += [field.annotation for field in kind.model_fields.values()]
        else:
            waiting += get_args(kind)
    yield from sorted(found, key=lambda kind: kind.__qualname__)
