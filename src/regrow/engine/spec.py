"""What a model says of itself: one frozen `ModelSpec` of names, so that it imports nothing heavy.

A stage is named by the dotted path of its function ("package.module:function"). The engine
imports that module only when the stage has to run, and fingerprints its code without importing it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from regrow.engine.store import Entry

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` while a stage works; total 0 when it is not known."""


class ModelConfig(BaseModel):
    """Base of every model's settings: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class StageContext:
    """What a stage's function is given.

    Attributes:
        config: the model's validated settings.
        inputs: the finished entries of earlier stages, by stage name.
        out: an empty temporary directory; the files written here become the stage's entry.
        scratch: a directory that survives a kill, for checkpoints; removed at a good end.
        progress: where to report progress.
    """

    config: Any
    inputs: Mapping[str, Entry]
    out: Path
    scratch: Path
    progress: Progress


StageFunction = Callable[[StageContext], dict[str, Any]]
"""A stage: reads `inputs`, writes files into `out`, returns facts (JSON) kept in its manifest."""


@dataclass(frozen=True)
class StageSpec:
    """How a model does one stage.

    Attributes:
        run: dotted path of the stage's function, or of the data that the engine's stage needs.
        config: names of the settings that the stage reads: its slice of the fingerprint.
    """

    run: str
    config: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """When a challenger replaces the champion.

    Attributes:
        score: dotted path of `score(model, table, config) -> dict[str, float]`, run on the same
            current test data for challenger and champion alike.
        metric: the key of the score that decides.
        direction: whether a smaller or a larger figure is better.
        margin: by how much (as a share of the champion's figure) the challenger must be better.
    """

    score: str
    metric: str
    direction: Literal["minimize", "maximize"] = "minimize"
    margin: float = 0.0
    unit: str = ""


def _everything(_config: ModelConfig) -> str:
    return ""


def _every_source(_config: ModelConfig, sources: tuple[str, ...]) -> tuple[str, ...]:
    return sources


@dataclass(frozen=True)
class ModelSpec:
    """Everything the engine needs to know of a model. `docs/architecture.md` says how to add one.

    Attributes:
        name: as on the command line, e.g. "air-quality".
        title: one line for people.
        config: the settings' class.
        presets: named settings that differ from the class's defaults.
        sources: names in data/sources.toml.
        needs: which of the sources a configuration reads, called as `needs(config, sources)`; the
            others are not fetched. By default all are.
        stages: how the model does "clean", "validate", "train" and "evaluate".
        gate: how a challenger is judged.
        predict: dotted path of `predict(model, paths) -> pandas.DataFrame`.
        read_inputs: dotted path of `read(path) -> pandas.DataFrame`: a file to predict from, with
            the columns that the training profile describes. None where inputs are no table: their
            drift cannot be told.
        scope: what the champions of a configuration are for: only those of one scope compete. ""
            where there is one kind, else a short name that becomes part of the registered one.
        id_column: the column by which a person finds a row of the clean table again.
        resources: the work pool that a stage is for, such as {"train": "gpu"}; where a server has
            none of that name, the stage is done with the others.
    """

    name: str
    title: str
    description: str
    config: type[ModelConfig]
    sources: tuple[str, ...]
    stages: Mapping[str, StageSpec]
    gate: Gate
    predict: str
    needs: Callable[[Any, tuple[str, ...]], tuple[str, ...]] = _every_source
    read_inputs: str | None = None
    scope: Callable[[ModelConfig], str] = _everything
    id_column: str | None = None
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)


def load(path: str) -> Any:
    """Imports "package.module:name" and returns the object."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
