"""All that a report, a model card or a summary is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.base.decision import Decision
from regrow.base.spec import ModelSpec
from regrow.report.evaluation import Evaluation
from regrow.report.history import History
from regrow.report.validation import Validation

DATA_KINDS = {"real": "real data", "sample": "sample data", "local": "a local file"}


@dataclass(frozen=True)
class SourceUse:
    """A source as a run used it.

    Attributes:
        name: its table in sources.toml.
        title: what it is, for people.
        homepage: its page, or "".
        licence: its licence in words.
        citation: how to cite it, or "".
        file: the file or folder that the pipeline read.
        sha256: the digest of its files.
        bytes: their size.
        origin: where they came from: an address or a path.
    """

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    file: str
    sha256: str
    bytes: int
    origin: str


@dataclass(frozen=True)
class StageResult:
    """A stage of the run: whether its result was found, and in how many seconds."""

    stage: str
    fingerprint: str
    digest: str
    is_cached: bool
    seconds: float


@dataclass(frozen=True)
class Lineage:
    """What the run was made with.

    Attributes:
        git_commit: the project's commit; None where there is no git or no checkout.
        is_dirty: whether the checkout has uncommitted changes.
        libraries: versions by name.
    """

    git_commit: str | None
    is_dirty: bool
    stages: Sequence[StageResult]
    libraries: Mapping[str, str]
    backend: str
    python: str
    platform: str


@dataclass(frozen=True)
class ReportData:
    """All that a report, a card or a summary is made from.

    Attributes:
        spec: the model.
        registered_name: its name in the registry.
        preset: the name of the settings' preset.
        config: the settings.
        data_kind: "real", "sample" or "local".
        sources: the sources that were read.
        data_facts: the facts of `clean`.
        training_facts: the facts of `train`.
        validation: the verdict on the data.
        history: the trainings.
        evaluation: what `evaluate` found.
        evaluation_dir: the directory that the figures' paths start from.
        decision: the gate's decision; its time is the report's, as the clock is not read here.
        lineage: what the run was made with.
    """

    spec: ModelSpec
    registered_name: str
    preset: str
    config: Mapping[str, Any]
    data_kind: str
    sources: Sequence[SourceUse]
    data_facts: Mapping[str, Any]
    training_facts: Mapping[str, Any]
    validation: Validation
    history: History
    evaluation: Evaluation
    evaluation_dir: Path
    decision: Decision
    lineage: Lineage

    @property
    def run(self) -> str:
        """The run's name: the registered model and its version."""
        return f"{self.registered_name} version {self.decision.version}"

    @property
    def kind(self) -> str:
        """The kind of data in words."""
        return DATA_KINDS[self.data_kind]
