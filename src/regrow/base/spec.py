"""What a model says of itself: one frozen `ModelSpec` of names, so that it imports nothing heavy.

A stage is named by the dotted path of its function ("package.module:function"). regrow
imports that module only when the stage has to run, and fingerprints its code without importing it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class ModelConfig(BaseModel):
    """Base of every model's settings: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class StageSpec:
    """How a model does one stage.

    Attributes:
        run: dotted path of the stage's function, or of the data that regrow's own stage needs.
        config: names of the settings that the stage reads; it cannot read any other. They are the
            settings in its fingerprint.
        modules: where `run` is a method of a class: the modules whose code counts in place of the
            one that defines the class.
        members: the members of that class that the stage uses. They count with what they use.
    """

    run: str
    config: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    members: tuple[str, ...] = ()

    @property
    def code(self) -> tuple[str, ...]:
        """The modules that hold the stage's code."""
        return self.modules if self.members else (module_of(self.run),)


@dataclass(frozen=True)
class Gate:
    """When a challenger replaces the champion.

    Attributes:
        metric: the key of the score that decides.
        score: dotted path of `score(model, table, config) -> dict[str, float]`, run on the same
            current test data for challenger and champion alike. A `Model` has its own.
        direction: whether a smaller or a larger figure is better.
        margin: by how much (as a share of the champion's figure) the challenger must be better.
        split: settings that choose the test data; a run with others than those of the first preset
            is held for approval, as its figure cannot be compared.
        minimum: the worst figure with which a version becomes champion; one that is worse is held
            for approval. None: no limit.
        approve: whether every version waits for a person's approval before it becomes champion.
    """

    metric: str
    score: str = ""
    direction: Literal["minimize", "maximize"] = "minimize"
    margin: float = 0.0
    unit: str = ""
    split: tuple[str, ...] = ()
    minimum: float | None = None
    approve: bool = False


@dataclass(frozen=True)
class Card:
    """What a model card says in its author's words: a few sentences for each heading.

    Attributes:
        intended_use: what the model is for, and for whom.
        out_of_scope: what it must not be used for.
        data: whom and what the data describes, when and where it was gathered, what it leaves out.
        evaluation: which rows were tested on, how they were kept apart, and beside what.
        limits: where the figures do not hold.
        ethics: who may be harmed and how, and what the licences of the data ask for.
        command: a command that uses the model.
        pipeline_tag: the Hugging Face hub's name of the task, such as "tabular-regression".
        tags: further words that the hub files the model under.
        languages: ISO 639-1 codes of the texts that it reads.
    """

    intended_use: str
    out_of_scope: str
    data: str
    evaluation: str
    limits: str
    ethics: str
    command: str
    pipeline_tag: str
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Serving:
    """The code with which a registered version answers where regrow is not installed.

    Attributes:
        modules: are copied into every version. They import each other (`from MODULE import NAME`),
            the standard library, numpy, pandas and what `requirements` names. The last one has
            `answer(frame, facts, run) -> DataFrame`: from columns to named columns, where `run`
            calls the exported model with arrays. What is wrong with the frame is a ValueError.
        describe: dotted path of `describe(model, inputs) -> dict`: the `facts`, as JSON, from the
            Keras model and the inputs of its example. Its `columns` are those that `answer` takes,
            each with its `name`, MLflow's `type` and whether it is `required`, and its `example`
            has rows of them.
        requirements: further packages that the modules import.
    """

    modules: tuple[str, ...]
    describe: str
    requirements: tuple[str, ...] = ()


def _everything(_config: ModelConfig) -> str:
    return ""


def _every_source(_config: ModelConfig, sources: tuple[str, ...]) -> tuple[str, ...]:
    return sources


@dataclass(frozen=True)
class ModelSpec:
    """Everything that regrow needs to know about a model. CONTRIBUTING.md says how to add one.

    Attributes:
        name: as on the command line, e.g. "air-quality".
        title: one line for people.
        config: the settings' class.
        presets: named settings that differ from the class's defaults.
        sources: the names of the sources that it reads.
        declares: those of them that the model declares itself, as tables of sources.toml, by name.
        needs: which of the sources a configuration reads, called as `needs(config, sources)`; the
            others are not fetched. By default all are.
        stages: how the model does "clean", "validate", "train" and "evaluate".
        gate: how a challenger is judged.
        predict: dotted path of `predict(model, paths) -> pandas.DataFrame`.
        predict_frame: dotted path of `predict_frame(model, frame) -> pandas.DataFrame`, for inputs
            that are in memory: a frame as `read_inputs` returns it. None where inputs are files.
        serving: how a version takes and gives a user's columns where regrow is not installed. None
            where it takes and gives arrays.
        card: what the model card says; None leaves its headings open.
        read_inputs: dotted path of `read(path) -> pandas.DataFrame`: a file to predict from, with
            the columns that the training profile describes. None where inputs are not a table:
            their drift cannot be measured.
        check_file: dotted path of `check(path, *, training: bool)`: raises a DataError about what
            is seen at first sight of a file to train on, as `--source` gives it, or to predict
            from, such as its header. Called before anything heavy is started.
        scope: what the champions of a configuration are for: only those of one scope compete. ""
            where there is one kind, else a short name that becomes part of the registered one.
        id_column: the column by which a person finds a row of the clean table again.
        files: files beside the inputs that stages read, and modules that cannot be found by
            reading the code, as "package/path"; their contents count in fingerprints.
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
    predict_frame: str | None = None
    serving: Serving | None = None
    card: Card | None = None
    needs: Callable[[Any, tuple[str, ...]], tuple[str, ...]] = _every_source
    read_inputs: str | None = None
    check_file: str | None = None
    scope: Callable[[ModelConfig], str] = _everything
    id_column: str | None = None
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    declares: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def module_of(path: str) -> str:
    """The module of a dotted path "package.module:name"."""
    return path.partition(":")[0]


def load(path: str) -> Any:
    """Imports "package.module:name" or "package.module:Class.name" and returns the object."""
    module, _, name = path.partition(":")
    return attrgetter(name)(importlib.import_module(module))


def check_file(path: str, file: Path) -> None:
    """Has the function "package.module:name" check a file.

    What only refuses files changes no result, so its code counts in no fingerprint.

    Raises:
        DataError: the function refuses the file.
    """
    load(path)(file)
