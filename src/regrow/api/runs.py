"""`regrow.run`: runs a model from download to publish, from a notebook or a script."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regrow.api.html import make_link, make_paragraph, make_table
from regrow.base.decision import Decision
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.operations.child import run_in_process
from regrow.operations.progress_bars import notebook_bars
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import DataChoice, expand_settings, make_request, merge
from regrow.pipeline.settings_layers import read_settings_file
from regrow.pipeline.stages import StageRef
from regrow.registry.release import PublishFacts
from regrow.report.evaluation import Headline, Table
from regrow.report.numbers import format_table


@dataclass(frozen=True)
class RunResult:
    """The result of a run. Notebooks display it as a table.

    Attributes:
        model: the name of the model.
        run: the id of the run, for `regrow.compare`; None if its record was removed.
        preset: the preset that its settings are based on.
        data_kind: the training data: "real", "sample" or "local".
        registered: the name in the registry.
        version: the registered version.
        decision: the decision of the gate, with its reason.
        headline: the main metric of the run, with the best baseline.
        metrics: the metrics of the published model on the test data, by name.
        tables: the tables of the report.
        warnings: warnings about the data from validation.
        report: the path of the HTML report.
        mlflow_url: the URL of the run in MLflow.
        stages: the result of each stage, and whether it was found in the store.
    """

    model: str
    run: str | None
    preset: str
    data_kind: str
    registered: str
    version: int
    decision: Decision
    headline: Headline
    metrics: dict[str, float]
    tables: tuple[Table, ...] = field(repr=False)
    warnings: tuple[str, ...] = field(repr=False)
    report: Path
    mlflow_url: str = field(repr=False)
    stages: tuple[StageRef, ...] = field(repr=False)

    @property
    def is_champion(self) -> bool:
        """Whether this version became the champion."""
        return self.decision.champion_after == self.version

    @classmethod
    def parse(cls, summary: Mapping[str, Any]) -> RunResult:
        """Creates the result from the summary of a run."""
        facts = PublishFacts.model_validate(summary)
        return cls(
            model=summary["model"],
            run=summary["run"],
            preset=summary["preset"],
            data_kind=facts.data_kind,
            registered=facts.registered_name,
            version=facts.version,
            decision=facts.decision,
            headline=facts.headline,
            metrics=facts.metrics,
            tables=facts.tables,
            warnings=facts.warnings,
            report=Path(facts.report),
            mlflow_url=facts.mlflow_url,
            stages=tuple(StageRef.model_validate(ref) for ref in summary["stages"]),
        )

    def _repr_html_(self) -> str:
        shown = self.headline
        rows = [[f"{self.registered} version {self.version}", shown.value, shown.unit]]
        if shown.baseline:
            rows.append([shown.baseline.name, shown.baseline.value, shown.unit])
        parts = [make_table([self.model, shown.label, ""], rows)]
        if self.data_kind == "sample":
            text = "trained on the shipped sample: the metrics say nothing about real data"
            parts.append(make_paragraph(text))
        for table in map(format_table, self.tables[:1]):
            columns = [column.label for column in table.columns]
            parts.append(make_table(columns, [row.cells for row in table.rows]))
        parts += map(make_paragraph, [self.decision.reason, *self.warnings[:3]])
        return "".join([*parts, make_link("report", self.report.as_uri())])


def run(
    model: str,
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    sample: bool = False,
    data: DataChoice = "real",
    sources: Mapping[str, str | Path] | None = None,
    versions: Mapping[str, str] | None = None,
    progress: bool = True,
) -> RunResult:
    """Downloads, cleans, validates, trains, evaluates and publishes a model.

    It does the same as `regrow run MODEL --no-prefect`, in a separate process: a second run in the
    same kernel gives the same bits as a second command, and the kernel's memory stays free. Stages
    whose inputs, settings and code are unchanged are found in the store. An interruption (the
    kernel's stop button, Ctrl-C) ends the process; the same call resumes from the last checkpoint.

    Args:
        model: the name of the model; see `regrow.list_models`.
        preset: a named set of settings; None for the first one.
        settings: settings to change, nested as in the model's settings class; a name may
            contain dots, such as {"variants.all-sensors.epochs": 50}.
        config: a TOML or YAML file with settings; `settings` takes precedence.
        sample: use the shipped sample instead of real data.
        data: "real", "sample", or "real-or-sample" for the sample only if the real data cannot be
            obtained.
        sources: your own files, by the names of the sources that they replace.
        versions: the version of a source's data, by the source's name.
        progress: show progress below the cell, or as progress bars in a terminal.

    Returns:
        The registered version, its metrics, and the decision of the gate.

    Raises:
        UserError: unknown model, preset or setting; invalid data; diverged training.
        ProcessDied: the process was killed; calling again resumes the work.
        KeyboardInterrupt: the run was interrupted.
    """
    spec = get_spec(model)
    request = make_request(
        spec,
        preset=preset,
        overrides=merge(
            read_settings_file(config) if config else {}, expand_settings(settings or {})
        ),
        data="sample" if sample else data,
        sources={name: Path(path) for name, path in (sources or {}).items()},
        versions=versions,
    )
    Pipeline(spec, request, read_environment()).check()  # before a process is started
    with notebook_bars(f"{spec.name} ({request.preset})") if progress else nullcontext():
        return RunResult.parse(run_in_process(request, shielded=True))
