"""The content of a registered version, and the result of publishing it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from regrow.base.decision import Decision
from regrow.base.errors import UserError, list_problems
from regrow.base.spec import Serving
from regrow.report.evaluation import Headline, Number, Table
from regrow.store.entry import MANIFEST, Entry

DataKind = Literal["real", "sample", "local"]


@dataclass(frozen=True)
class Release:
    """The content of one version.

    Attributes:
        key: identifies the release: it is registered once.
        run_name: the name of the MLflow run.
        params: the settings, flat.
        metrics: the final figures.
        curves: values per epoch by training and metric name: "all-sensors/seed-0/loss".
        tags: data version, fingerprints and the like.
        model: the .keras file.
        example: an .npz with `inputs` and `outputs`: what the model answers.
        files: files with their folders among the run's artifacts ("" for none).
        pip_requirements: the packages that loading the model needs. They are given because MLflow
            needs half a minute to infer them.
        serving: the code that it is served with; None for a model of arrays.
        title: of the model, in a line.
        description: of the run, as Markdown.
    """

    key: str
    run_name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    tags: Mapping[str, str]
    model: Path
    example: Path
    pip_requirements: Sequence[str]
    files: Sequence[tuple[Path, str]] = field(default_factory=tuple)
    serving: Serving | None = None
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class Published:
    """A release that is in the registry."""

    version: int
    run_id: str
    run_url: str
    decision: Decision


class PublishFacts(BaseModel):
    """What the stage publish says of its result: the facts of its entry.

    Attributes:
        data_kind: what the model was trained on.
        registered_name: the model's name in the registry.
        decision: what the gate decided on the version.
        headline: as in the evaluation, and so are `metrics` and `tables`.
        warnings: what cleaning and validation noticed about the data.
        report: the path of the report; `report_url` is its address, in the browser where it can be.
        mlflow_url: the page of the run `mlflow_run`.
    """

    model_config = ConfigDict(frozen=True)

    data_kind: DataKind
    registered_name: str
    version: int
    decision: Decision
    headline: Headline
    metrics: dict[str, Number]
    tables: tuple[Table, ...]
    warnings: tuple[str, ...]
    report: str
    report_url: str = ""
    mlflow_url: str = ""
    mlflow_run: str = ""

    @classmethod
    def read(cls, entry: Entry) -> Self:
        """Reads the facts of a publish stage.

        Raises:
            UserError: they do not have this form.
        """
        try:
            return cls.model_validate(entry.facts)
        except ValidationError as error:
            raise UserError(
                "a publication does not have the form that this version of regrow writes",
                where=str(entry.path / MANIFEST),
                received=list_problems(error),
                remedies=[
                    f"remove {entry.path}; it is built again by regrow run {entry.manifest.model}"
                ],
            ) from error

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON: null for NaN."""
        found: dict[str, Any] = json.loads(self.model_dump_json())
        return found
