"""The last stage: the report, the model card, the registry's new version, the gate's decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from regrow.base.dashboards import link_report
from regrow.base.decision import Decision, Hold
from regrow.base.errors import DataError, Unreachable
from regrow.base.files import write_json
from regrow.base.spec import load
from regrow.pipeline.release import PublishRequest, describe_release
from regrow.registry.champions import open_registry
from regrow.registry.gate import decide
from regrow.registry.publication import Champion, publish_release
from regrow.registry.release import PublishFacts
from regrow.report.evaluation import FILE, Evaluation
from regrow.report.validation import Validation


def publish(request: PublishRequest) -> PublishFacts:
    """Registers the model, decides on the champion, writes report, card, summary and decision.

    Raises:
        UserError: the evaluation does not have the form that reports are made from.
    """
    from regrow.pipeline.pages import write_pages

    context, out = request.context, request.context.out
    evaluation = Evaluation.read(context.inputs["evaluate"].file(FILE))
    registry = open_registry(request.champion, request.settings)
    release = describe_release(request, evaluation)
    context.progress("publish: registering", 0, 2)
    published = publish_release(
        registry, release, partial(_judge, request, evaluation, release.key)
    )
    context.progress("publish: reporting", 1, 2)
    write_json(out / "decision.json", asdict(published.decision))
    report = request.settings.home.reports / f"{request.registered}-v{published.version}.html"
    write_pages(request, evaluation, published, report)
    registry.attach(
        published.run_id, [(out / name, "") for name in ("report.html", "card.md", "decision.json")]
    )
    context.progress("publish: reporting", 2, 2)
    validation = Validation.read(context.inputs["validate"].file("validation.json"))
    return PublishFacts(
        data_kind=request.data_kind,
        registered_name=request.registered,
        version=published.version,
        decision=published.decision,
        headline=evaluation.headline,
        metrics=evaluation.metrics,
        tables=evaluation.tables,
        warnings=(*context.inputs["clean"].facts.get("notes", ()), *validation.warnings),
        report=str(report),
        report_url=link_report(request.settings.home, report),
        mlflow_url=published.run_url,
        mlflow_run=published.run_id,
    )


def _judge(
    request: PublishRequest,
    evaluation: Evaluation,
    key: str,
    version: int,
    champion: Champion | None,
) -> Decision:
    """Scores challenger and champion on the current test data, by the model's own evaluator."""
    from regrow.training.inference import load_model

    spec, context = request.spec, request.context
    evaluator, table = load(spec.gate.score), context.inputs["clean"].file("table.parquet")

    def score(model: Any) -> Mapping[str, float]:
        found: Mapping[str, float] = evaluator(model, table, context.config)
        return found

    new = score(load_model(context.inputs["train"].file("model.keras")))
    if champion is not None:
        old, holds = _score_champion(champion, score, spec.gate.metric)
    else:
        old, holds = None, request.find_weakness(evaluation.headline, new)
    return decide(
        spec.gate,
        model=request.registered,
        version=version,
        champion_version=champion.version if champion else None,
        challenger=new,
        champion=old,
        holds=[*holds, *request.find_holds()],
        data_version=request.data_version,
        key=key,
    )


def _score_champion(
    champion: Champion, score: Callable[[Any], Mapping[str, float]], metric: str
) -> tuple[Mapping[str, float] | None, list[Hold]]:
    """The champion's score; or why it cannot have one, which is not for the gate to decide.

    Raises:
        Unreachable: memory or a file was missing; a retry may succeed.
    """
    trouble = champion.trouble
    try:
        if champion.model is not None:
            return score(champion.model), []
    except (OSError, MemoryError) as error:
        raise Unreachable(
            f"champion {champion.version} could not be scored, so nothing was promoted",
            received=f"{type(error).__name__}: {error}".splitlines()[0],
            expected=f"its {metric} on the current test data",
            remedies=["run again; if memory is insufficient, use a larger machine"],
        ) from error
    except Exception as error:
        # Of all others, only these say that data and model do not fit each other.
        if not isinstance(error, (ValueError, TypeError, LookupError, DataError)) and (
            type(error).__name__ != "InvalidArgumentError"
        ):
            raise
        trouble = f"{type(error).__name__}: {error}".splitlines()[0]
    reason = f"champion {champion.version} cannot be scored on this data ({trouble})"
    if champion.recorded is not None:
        reason += f"; its recorded {metric} is {champion.recorded:.5g}"
    return None, [Hold("incompatible", reason)]
