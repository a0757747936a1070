"""The last stage: the report, the model card, the registry's new version, the gate's decision."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.engine.config import RunRequest, Settings, decisions_path, flatten, registered_name
from regrow.engine.fingerprint import digest_json, library_version
from regrow.engine.gate import Decision, decide
from regrow.engine.spec import ModelSpec, StageContext, load
from regrow.engine.validation import Reference

if TYPE_CHECKING:
    from regrow.engine.registry import Published, Registry, Release
    from regrow.engine.report import ReportData


@dataclass(frozen=True)
class PublishRequest:
    """What is published, and for whom.

    Attributes:
        context: the stage's context; its inputs are all earlier stages.
        cached: by stage, whether its result was found rather than made, and in how many seconds.
    """

    spec: ModelSpec
    request: RunRequest
    settings: Settings
    context: StageContext
    cached: Mapping[str, tuple[bool, float]]

    @property
    def data_kind(self) -> str:
        """One of "real", "sample" and "local"."""
        return str(self.context.inputs["download"].facts["kind"])

    @property
    def registered(self) -> str:
        """The model's name in the registry."""
        sample = self.data_kind == "sample"
        return registered_name(self.spec.name, self.scope, sample=sample)

    @property
    def scope(self) -> str:
        """Which of the model's champions this release competes with."""
        return self.spec.scope(self.context.config)

    @property
    def data_version(self) -> str:
        """A short name of the data."""
        return "-".join(
            source["sha256"][:8] for source in self.context.inputs["download"].facts["sources"]
        )


def open_registry(
    spec: ModelSpec, settings: Settings, *, sample: bool, scope: str = ""
) -> Registry:
    """The registry of one scope of a model; imports MLflow."""
    from regrow.engine.registry import Registry

    name = registered_name(spec.name, scope, sample=sample)
    return Registry(
        settings.tracking_uri,
        name,
        home=settings.home,
        decisions=decisions_path(settings.home, name),
        modules=[spec.gate.score.partition(":")[0], spec.predict.partition(":")[0]],
    )


def find_reference(
    spec: ModelSpec, settings: Settings, *, sample: bool, scope: str, data_digest: str
) -> Reference | None:
    """The profile of the champion's training data, unless it was trained on this very data."""
    uri = settings.tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return None
    registry = open_registry(spec, settings, sample=sample, scope=scope)
    champion = registry.champion()
    if champion is None or champion.tags.get("regrow.data_digest") == data_digest:
        return None
    profile = json.loads(registry.artifact(champion, "profile.json").read_text())
    return Reference(f"{registry.name} version {champion.version}", profile)


def publish(request: PublishRequest) -> dict[str, Any]:
    """Registers the model, decides on the champion, writes report, card, summary and decision.

    Returns:
        Facts: version, decision, where the report and the MLflow run are, the figures to show.
    """
    context, out = request.context, request.context.out
    sample = request.data_kind == "sample"
    registry = open_registry(request.spec, request.settings, sample=sample, scope=request.scope)
    evaluation = _read_json(context, "evaluate", "evaluation.json")
    release = _describe_release(request, evaluation)
    context.progress("publish: registering", 0, 2)
    published = registry.publish(release, lambda *of: _judge(request, release.key, *of))
    context.progress("publish: reporting", 1, 2)
    (out / "decision.json").write_text(
        json.dumps(asdict(published.decision), indent=1, ensure_ascii=False), encoding="utf-8"
    )
    report = request.settings.home / "reports" / f"{request.registered}-v{published.version}.html"
    _write_pages(request, evaluation, published, report)
    registry.attach(
        published.run_id,
        [(out / name, "") for name in ("report.html", "card.md", "decision.json")],
    )
    context.progress("publish: reporting", 2, 2)
    return {
        "data_kind": request.data_kind,
        "registered_name": request.registered,
        "version": published.version,
        "decision": asdict(published.decision),
        "headline": evaluation["headline"],
        "metrics": evaluation["metrics"],
        "tables": evaluation["tables"],
        "warnings": _read_json(context, "validate", "validation.json")["warnings"],
        "report": str(report),
        "report_url": report.as_uri(),
        "mlflow_url": published.run_url,
        "mlflow_run": published.run_id,
    }


def _judge(
    request: PublishRequest,
    key: str,
    version: int,
    champion_version: int | None,
    champion: Any | None,
    trouble: str | None,
) -> Decision:
    """Scores challenger and champion on the current test data, by the model's own evaluator."""
    from regrow.engine.inference import load_model

    spec, context = request.spec, request.context
    score = load(spec.gate.score)
    table = context.inputs["clean"].file("table.parquet")
    challenger = load_model(context.inputs["train"].file("model.keras"))
    old = None
    if champion is not None:
        try:
            old = score(champion, table, context.config)
        except Exception as error:  # a champion that cannot answer cannot defend its place
            trouble = f"{type(error).__name__}: {error}".splitlines()[0]
    return decide(
        spec.gate,
        model=request.registered,
        version=version,
        champion_version=champion_version,
        challenger=score(challenger, table, context.config),
        champion=old,
        trouble=trouble,
        data_version=request.data_version,
        key=key,
    )


def _describe_release(request: PublishRequest, evaluation: Mapping[str, Any]) -> Release:
    from regrow.engine.registry import Release

    inputs = request.context.inputs
    history = _read_json(request.context, "train", "history.json")
    train, evaluate = inputs["train"], inputs["evaluate"]
    figures = [name for name in evaluate.manifest.files if name.startswith("figures/")]
    libraries = ("keras", request.settings.backend, "numpy")
    return Release(
        # The model and its figures make a release; another report on them does not.
        key=digest_json([train.digest, evaluate.digest]),
        run_name=f"{request.request.preset} data {request.data_version}",
        params=flatten({"preset": request.request.preset, **request.request.config}),
        metrics={name: float(value) for name, value in evaluation["metrics"].items()},
        curves={
            f"{run['run']}/{name}": values
            for run in history
            for name, values in run["curves"].items()
        },
        tags={
            "regrow.data_kind": request.data_kind,
            "regrow.data_version": request.data_version,
            "regrow.data_digest": inputs["clean"].digest,
            "regrow.git_commit": _git(request.settings.project, "rev-parse", "HEAD") or "unknown",
            **{f"regrow.fingerprint.{k}": e.manifest.fingerprint for k, e in inputs.items()},
        },
        model=train.file("model.keras"),
        example=train.file("example.npz"),
        pip_requirements=[f"{name}=={library_version(name)}" for name in libraries],
        files=[
            (train.file("profile.json"), ""),
            (train.file("history.json"), ""),
            (evaluate.file("evaluation.json"), ""),
            (inputs["validate"].file("validation.html"), ""),
            *((evaluate.file(name), str(Path(name).parent)) for name in figures),
        ],
    )


def _write_pages(
    request: PublishRequest, evaluation: Mapping[str, Any], published: Published, report: Path
) -> None:
    from regrow.engine.card import summary_markdown, write_card
    from regrow.engine.report import write_report

    out = request.context.out
    data = _collect(request, evaluation, published)
    write_report(data, out / "report.html")
    write_card(data, out / "card.md")
    links = {"report_link": report.as_uri(), "mlflow_link": published.run_url}
    (out / "summary.md").write_text(summary_markdown(data, **links), encoding="utf-8")
    report.parent.mkdir(parents=True, exist_ok=True)
    temporary = report.with_name(f".{report.name}.tmp")
    shutil.copyfile(out / "report.html", temporary)
    temporary.replace(report)


def _collect(
    request: PublishRequest, evaluation: Mapping[str, Any], published: Published
) -> ReportData:
    from regrow.engine.report import ReportData

    spec, context, inputs = request.spec, request.context, request.context.inputs
    project = request.settings.project
    libraries: dict[str, str] = {}
    for entry in inputs.values():
        libraries |= entry.manifest.components["libraries"]
    return ReportData(
        name=spec.name,
        title=spec.title,
        description=spec.description,
        run=f"{request.registered} version {published.version}",
        created_at=published.decision.at,
        preset=request.request.preset,
        config=request.request.config,
        data_kind=request.data_kind,
        sources=inputs["download"].facts["sources"],
        data_facts=inputs["clean"].facts,
        validation=_pick_validation(_read_json(context, "validate", "validation.json")),
        history=_read_json(context, "train", "history.json"),
        evaluation=evaluation,
        evaluation_dir=inputs["evaluate"].path,
        decision={
            name: value
            for name, value in asdict(published.decision).items()
            if name not in ("model", "key", "at")
        },
        training_facts=inputs["train"].facts,
        registered_name=request.registered,
        lineage={
            "git_commit": _git(project, "rev-parse", "HEAD"),
            "git_dirty": bool(_git(project, "status", "--porcelain")),
            "stages": [
                {
                    "stage": name,
                    "fingerprint": entry.manifest.fingerprint,
                    "digest": entry.digest,
                    "cached": request.cached[name][0],
                    "seconds": request.cached[name][1],
                }
                for name, entry in inputs.items()
            ],
            "libraries": libraries,
            "backend": request.settings.backend,
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
    )


def _pick_validation(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the report shows of validation.json; all of it is on validation.html."""
    checks = ("success", "expectation", "why", "unexpected", "severity")
    drift = ("column", "check", "value", "threshold")
    warnings = [finding for finding in result["drift"] if finding["level"] == "warning"]
    return {
        "success": result["success"],
        "warnings": result["warnings"],
        "expectations": [{key: check[key] for key in checks} for check in result["expectations"]],
        **({"drift": [{key: f[key] for key in drift} for f in warnings]} if warnings else {}),
    }


def _read_json(context: StageContext, stage: str, name: str) -> Any:
    return json.loads(context.inputs[stage].file(name).read_text(encoding="utf-8"))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says of the checkout; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
