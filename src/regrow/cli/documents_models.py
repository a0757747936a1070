"""The documents about models, runs, champions and their inputs; see documents.py."""

from __future__ import annotations

from typing import Any, Literal

from regrow.base.decision import Decision
from regrow.cli.documents_base import Document, Number
from regrow.pipeline.stages import Stage, StageRef


class ModelLine(Document):
    """A model of the project, or why it cannot be loaded."""

    model: str
    title: str | None = None
    presets: list[str] | None = None
    error: str | None = None


class ModelSettings(Document):
    """Presets and settings of one model; `from` of a setting is where its value comes from."""

    model: str
    presets: dict[str, dict[str, Any]]
    settings: list[dict[Literal["setting", "value", "from", "default", "what"], Any]]


class Champion(Document):
    """The last decision on a champion, and what the registry says of it now.

    `alias` is the champion's version and `figure` its value of `metric`; the other fields up to
    `by` are those of the decision.
    """

    model: str
    action: str
    version: int
    champion_before: int | None
    champion_after: int | None
    metric: str
    challenger: Number
    champion: Number
    margin: float
    reason: str
    data_version: str
    key: str
    at: str
    hold: str | None
    by: str
    alias: int | None
    figure: Number
    frozen: str | None
    held: list[Decision]
    problem: str | None
    age_days: Number
    other_libraries: dict[str, tuple[str, str]]
    remarks: list[str]


class ModelStatus(Document):
    """The last run of a model and its champions."""

    model: str
    last_run: str | None
    last_run_at: str | None
    outcome: str
    data: str | None
    error: str | None
    unit: str
    champion: Champion | None
    champion_on_sample: Champion | None
    scopes: dict[str, Champion]
    stages: list[StageRef]


class ExportedVersion(Document):
    """A version in another format; `difference` is the largest from the answers of its example."""

    model: str
    version: int
    format: str
    path: str
    bytes: int
    difference: float


class StageVerdict(Document):
    """Whether the next run finds the result of a stage, and if not, why."""

    stage: Stage
    cached: bool
    fingerprint: str | None
    reasons: list[str]


class RunSummary(Document):
    """A finished run: its stages, figures and decision, and what to do next."""

    model: str
    run: str | None
    preset: str
    stages: list[StageRef]
    data_kind: Literal["real", "sample", "local"]
    registered_name: str
    version: int
    decision: Decision
    headline: dict[str, Any]
    metrics: dict[str, Number]
    tables: list[dict[str, Any]]
    warnings: list[str]
    remarks: list[str]
    report: str
    report_url: str
    mlflow_url: str
    mlflow_run: str
    prefect_url: str | None = None
    next: tuple[str, ...] = ()


class Trial(Document):
    """A trial of a sweep, which ends when it is trained; or one that was pruned on the way."""

    model: str | None = None
    run: str | None = None
    preset: str | None = None
    stages: tuple[StageRef, ...] = ()
    validation: dict[str, Number] | None = None
    trainings: int = 0
    curves: dict[str, list[Number]] | None = None
    clean: str = ""
    pruned: int | None = None
    value: Number = None


class Runs(Document):
    """Several runs as one table; `runs` has each one's summary or its error."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    failed: int
    runs: dict[str, RunSummary | str]


class Sweep(Document):
    """The trials of a sweep as one table, and the runs that published the best of them."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    failed: int
    runs: dict[str, Trial | str]
    not_started: int
    published: Runs | None


class Range(Document):
    """Rows outside what the training has seen of a column."""

    rows: int
    seen: str


class Ranges(Document):
    """How many rows lie outside what the training has seen."""

    rows: int
    outside: int
    columns: dict[str, Range]


class Predictions(Document):
    """Predictions by a version: a row for each input, with the columns that the model gives."""

    model: str
    ranges: Ranges | None
    predictions: list[dict[str, Any]]


class PredictedFile(Document):
    """One input of a folder."""

    file: str
    rows: int
    output: str
    outside: int | None


class BadFile(Document):
    """An input that could not be predicted."""

    file: str
    why: str


class PredictedFolder(Document):
    """Predictions for a folder; `known` inputs had been predicted before."""

    model: str | None
    predicted: list[PredictedFile]
    known: int
    bad: list[BadFile]


class DriftFile(Document):
    """A file that was compared."""

    file: str
    rows: int
    sha256: str


class DriftFinding(Document):
    """One comparison of a column."""

    column: str
    check: Literal["schema", "missing", "psi", "ks"]
    value: Number
    threshold: Number
    level: Literal["ok", "warning"]
    sentence: str


class Drift(Document):
    """New inputs against the training data of a version."""

    against: str
    files: list[DriftFile]
    rows: int
    findings: list[DriftFinding]
    drifted: list[str]
    not_compared: list[str]
    verdict: str
    report: str


class Line(Document):
    """One value of all runs that are compared; `best` are positions in `values`."""

    name: str
    values: list[Any]
    differs: bool
    best: list[int]


class ComparedRun(Document):
    """A run that is compared."""

    name: str
    run: str | None
    model: str
    curves: dict[str, list[Number]]


class Comparison(Document):
    """Runs side by side."""

    runs: list[ComparedRun]
    run: list[Line]
    settings: list[Line]
    data: list[Line]
    code: list[Line]
    libraries: list[Line]
    metrics: list[Line]
    curves: list[Line]
