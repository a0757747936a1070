"""What the function of a stage is given."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from regrow.base.errors import UserError
from regrow.base.progress import Progress
from regrow.base.spec import ModelConfig
from regrow.store.entry import Entry


class SettingsView:
    """A model's settings, of which a stage can read only those that its `StageSpec` names.

    Only those are part of the stage's fingerprint: a result that depended on another one would not
    be made again when that one changes. Properties and methods of the settings' class read through
    the view as well.

    Args:
        settings: the model's validated settings.
        names: the settings that may be read.
        stage: the stage, as messages name it.
    """

    __slots__ = ("_names", "_settings", "_stage")

    def __init__(self, settings: ModelConfig, names: Collection[str], stage: str) -> None:
        self._settings = settings
        self._names = frozenset(names)
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        kind = type(self._settings)
        if name in kind.model_fields:
            self._check(name)
            return getattr(self._settings, name)
        if name.startswith("__") or hasattr(ModelConfig, name):
            raise AttributeError(f"the settings of a stage have no {name}")
        member = inspect.getattr_static(kind, name)
        if isinstance(member, property) and member.fget is not None:
            return member.fget(self)
        if isinstance(member, cached_property):
            return member.func(self)
        if isinstance(member, FunctionType):
            return MethodType(member, self)
        return getattr(kind, name)

    def model_copy(self, *, update: Mapping[str, Any]) -> SettingsView:
        """A view of the same settings with some of them replaced."""
        for name in update:
            self._check(name)
        return SettingsView(self._settings.model_copy(update=update), self._names, self._stage)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The settings that may be read, as pydantic gives them."""
        return self._settings.model_dump(include=set(self._names), **options)

    def _check(self, name: str) -> None:
        if name not in self._names:
            raise UserError(
                f"{self._stage} reads the setting {name!r}, which it does not declare",
                where="the stage's StageSpec in spec.py",
                received=name,
                expected=", ".join(sorted(self._names)) or "no setting",
                remedies=[
                    f"add {name!r} to its config, so that a change causes the stage to run again"
                ],
            )


@dataclass(frozen=True)
class StageContext:
    """What a stage's function is given.

    Attributes:
        config: the settings that the stage declares, as the model's settings class has them.
        inputs: the finished entries of earlier stages, by stage name.
        out: an empty temporary directory; the files written here become the stage's entry.
        scratch: a directory that survives a kill, for checkpoints; removed when the stage ends.
        progress: where to report progress.
    """

    config: Any
    inputs: Mapping[str, Entry]
    out: Path
    scratch: Path
    progress: Progress
