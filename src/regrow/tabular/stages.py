"""The stages of a `Model`: what each runs, and which members of the class it can use.

Only these members, and the names that they use, are in the stage's fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from regrow.tabular.model import Model


class Stage(NamedTuple):
    """What a stage of a `Model` runs: the modules of regrow, and members of the class."""

    modules: tuple[str, ...]
    members: tuple[str, ...]
    reads_settings: bool = False


TABULAR = "regrow.tabular"
STAGES: Mapping[str, Stage] = {
    "clean": Stage((f"{TABULAR}.cleaning",), ("table", "clean")),
    "validate": Stage((), ("table", "expectations")),
    "train": Stage(
        (f"{TABULAR}.training",), ("table", "split", "network", "optimizer", "loss"), True
    ),
    "evaluate": Stage(
        (f"{TABULAR}.evaluation",), ("table", "split", "gate", "scores", "baselines", "name"), True
    ),
}


class Members:
    """A model as a stage sees it: only with the members that are in the stage's fingerprint."""

    def __init__(self, model: Model, stage: str) -> None:
        self._model = model
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        if name not in STAGES[self._stage].members:
            raise AttributeError(f"stage {self._stage} does not declare the member {name!r}")
        return getattr(self._model, name)
