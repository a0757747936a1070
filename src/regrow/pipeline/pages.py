"""The pages of a published run: report, model card and summary."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.dashboards import link_report
from regrow.base.files import atomic_write
from regrow.pipeline.release import PublishRequest, ask_git
from regrow.registry.release import Published
from regrow.report.card import summary_markdown, write_card
from regrow.report.data import Lineage, ReportData, SourceUse, StageResult
from regrow.report.evaluation import Evaluation
from regrow.report.history import FILE, History
from regrow.report.html import write_report
from regrow.report.validation import Validation
from regrow.sources.credit import credit

if TYPE_CHECKING:
    from regrow.sources.source import Source


def write_pages(
    request: PublishRequest, evaluation: Evaluation, published: Published, report: Path
) -> None:
    """Writes report.html, card.md and summary.md into the stage's folder, and the report's copy.

    Args:
        report: where the report stays when the store's entry goes.
    """
    out = request.context.out
    data = collect_data(request, evaluation, published)
    write_report(data, out / "report.html")
    write_card(data, out / "card.md")
    link = link_report(request.settings.home, report)
    links = {"report_link": link, "mlflow_link": published.run_url}
    (out / "summary.md").write_text(summary_markdown(data, **links), encoding="utf-8")
    with atomic_write(report) as temporary:
        shutil.copyfile(out / "report.html", temporary)


def collect_data(
    request: PublishRequest, evaluation: Evaluation, published: Published
) -> ReportData:
    """Gathers what the pages are made from."""
    inputs = request.context.inputs
    return ReportData(
        spec=request.spec,
        registered_name=request.registered,
        preset=request.request.preset,
        config=request.request.config,
        data_kind=request.data_kind,
        sources=[
            _credit_source(request.sources[facts["name"]], facts)
            for facts in inputs["download"].facts["sources"]
        ],
        data_facts=inputs["clean"].facts,
        training_facts=inputs["train"].facts,
        validation=Validation.read(inputs["validate"].file("validation.json")),
        history=History.read(inputs["train"].file(FILE)),
        evaluation=evaluation,
        evaluation_dir=inputs["evaluate"].path,
        decision=published.decision,
        lineage=_trace(request),
    )


def _credit_source(source: Source, facts: Mapping[str, Any]) -> SourceUse:
    due = credit(source, facts["kind"], facts["sha256"])
    return SourceUse(
        name=source.name,
        title=due.title,
        homepage=source.homepage or "",
        licence=due.licence,
        citation=due.citation,
        file=facts["file"],
        sha256=facts["sha256"],
        bytes=facts["bytes"],
        origin=facts["origin"],
    )


def _trace(request: PublishRequest) -> Lineage:
    inputs, project = request.context.inputs, request.settings.project
    libraries: dict[str, str] = {}
    for entry in inputs.values():
        libraries |= entry.manifest.components["libraries"]
    return Lineage(
        git_commit=ask_git(project, "rev-parse", "HEAD"),
        is_dirty=bool(ask_git(project, "status", "--porcelain")),
        stages=[
            StageResult(name, entry.manifest.fingerprint, entry.digest, *request.cached[name])
            for name, entry in inputs.items()
        ],
        libraries=libraries,
        backend=request.settings.backend,
        python=platform.python_version(),
        platform=platform.platform(),
    )
