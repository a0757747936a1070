"""Runs: the stages in order, and a record of each run that status, why and people read."""

from __future__ import annotations

import logging
import os
import platform
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from regrow.base.dashboards import link_report
from regrow.base.errors import RegrowError
from regrow.base.files import write_json
from regrow.base.interruption import note_stage
from regrow.base.locks import exclusive
from regrow.base.logs import log_context, log_to_file
from regrow.base.progress import report
from regrow.base.secrets import hide_secrets
from regrow.base.system_errors import explain
from regrow.pipeline.naming import describe_command
from regrow.pipeline.notifications import (
    Notify,
    describe_age,
    describe_decision,
    describe_failure,
    send_webhook,
)
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.records import RunRecord, list_runs, run_lock
from regrow.pipeline.stages import STAGES, Stage, StageRef
from regrow.pipeline.trials import trial_facts
from regrow.pipeline.upkeep import Upkeep, check_champion
from regrow.registry.names import ChampionRef
from regrow.registry.release import PublishFacts
from regrow.registry.state import read_state

log = logging.getLogger(__name__)

RunOne = Callable[[Stage, Mapping[Stage, StageRef]], StageRef]


class ResultMissing(RegrowError):
    """A stage has no valid result in the store."""


def run_stages(
    pipeline: Pipeline, run_one: RunOne, *, notify: Notify = send_webhook
) -> dict[Stage, StageRef]:
    """Runs every stage in order, through `run_one`, and keeps the run's record up to date.

    Args:
        notify: is called with a failure, and with a new champion.
    """
    now = datetime.now(UTC)
    record = RunRecord(
        # By milliseconds, as the newest run is found by its id.
        run_id=f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{uuid.uuid4().hex[:8]}",
        request=pipeline.request,
        started_at=now.isoformat(timespec="seconds"),
        pid=os.getpid(),
        host=platform.node(),
    )
    log_to_file(pipeline.settings.home)
    with (
        exclusive(run_lock(pipeline.settings.home, pipeline.spec.name, record.run_id)),
        log_context(run=record.run_id, model=pipeline.spec.name),
    ):
        return _run(pipeline, run_one, record, notify)


def _run(
    pipeline: Pipeline, run_one: RunOne, record: RunRecord, notify: Notify
) -> dict[Stage, StageRef]:
    path = pipeline.settings.home.runs / pipeline.spec.name / f"{record.run_id}.json"
    pipeline.store.sweep(pipeline.spec.name)
    try:
        stages = list_stages(pipeline)
        for number, stage in enumerate(stages):
            report("stages", number, len(stages))
            record.stage = stage
            note_stage(stage)
            write_json(path, record.model_dump(mode="json"))
            inputs = {name: record.stages[name] for name in STAGES[stage]}
            record.stages[stage] = _run_logged(stage, inputs, run_one)
        report("stages", len(stages), len(stages))
        record.state = "completed"
    except ResultMissing:  # whoever looked for the results runs the model in another way
        path.unlink()
        note_stage(None)
        raise
    except BaseException as error:
        record.state = "failed" if isinstance(error, Exception) else "interrupted"
        record.error = hide_secrets(str(explain(error) or error)) or type(error).__name__
        _end_record(pipeline, record, path, notify)
        raise
    _end_record(pipeline, record, path, notify)
    note_stage(None)
    return record.stages


def _run_logged(stage: Stage, inputs: Mapping[Stage, StageRef], run_one: RunOne) -> StageRef:
    with log_context(stage=stage):
        log.info("%s begins", stage)
        try:
            ref = run_one(stage, inputs)
        except ResultMissing:
            raise
        except BaseException as error:
            said = str(error) or type(error).__name__
            log.error("%s failed: %s", stage, said, extra={"told": True})
            raise
        log.info("%s is %s (%.1f s)", stage, "cached" if ref.cached else "done", ref.seconds)
    return ref


def list_stages(pipeline: Pipeline) -> list[Stage]:
    """The stages of a run in order; a trial ends when it is trained."""
    stages = list(STAGES)
    return stages[: stages.index("train") + 1] if pipeline.request.trial else stages


def _end_record(pipeline: Pipeline, record: RunRecord, path: Path, notify: Notify) -> None:
    record.finished_at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        write_json(path, record.model_dump(mode="json"))
    finally:  # the disk may be full
        _send_notification(pipeline, record, notify)


def run_unchanged(pipeline: Pipeline) -> dict[Stage, StageRef] | None:
    """Runs a model of which the store has every result; see `run_stages`.

    It imports none of the libraries that make results and needs no server.

    Returns:
        None, without a record, if a result is missing or a decision no longer holds.
    """

    def find(stage: Stage, inputs: Mapping[Stage, StageRef]) -> StageRef:
        ref = pipeline.find_stage(stage, inputs)
        if ref is None:
            raise ResultMissing(stage)
        return ref

    try:
        return run_stages(pipeline, find)
    except ResultMissing:
        return None


def run_directly(pipeline: Pipeline) -> dict[Stage, StageRef]:
    """Runs every stage in this process, without Prefect; see `run_stages`."""
    return run_stages(pipeline, lambda stage, inputs: pipeline.run_stage(stage, inputs, report))


def summarize_run(pipeline: Pipeline, refs: Mapping[Stage, StageRef]) -> dict[str, Any]:
    """The summary of a finished run as plain JSON: its stages, the facts of `publish`, and what the
    champion needs in words ("remarks").

    Of a trial: what the training came to on the validation data.
    """
    if pipeline.request.trial:
        facts = trial_facts(pipeline, refs)
    else:
        published = publish_facts(pipeline, refs["publish"])
        upkeep = check_upkeep(pipeline, published.registered_name)
        facts = {**published.to_json(), "remarks": upkeep.remarks if upkeep else []}
    return {
        "model": pipeline.spec.name,
        "run": _find_run(pipeline, refs),
        "preset": pipeline.request.preset,
        "stages": [ref.model_dump() for ref in refs.values()],
        **facts,
    }


def _find_run(pipeline: Pipeline, refs: Mapping[Stage, StageRef]) -> str | None:
    """The id of the run that had these results."""
    records = list_runs(pipeline.settings.home, pipeline.spec.name)
    return next((record.run_id for record in records if record.stages == refs), None)


def publish_facts(pipeline: Pipeline, ref: StageRef) -> PublishFacts:
    """The facts of `publish`, with the report where the home is now."""
    facts = PublishFacts.read(pipeline.entry(ref))
    home = pipeline.settings.home
    report = home.reports / Path(facts.report).name
    return facts.model_copy(update={"report": str(report), "report_url": link_report(home, report)})


def _send_notification(pipeline: Pipeline, record: RunRecord, notify: Notify) -> None:
    """Notifies of a failure, of a new champion, of a version to approve and of an old champion.

    A trial's failures are in the table of its sweep.
    """
    if record.request.trial:
        return
    model = pipeline.spec.name
    if record.state == "failed":
        notify(
            describe_failure(
                model,
                f"{model} ({record.request.preset}), stage {record.stage},",
                record.error or "",
                stage=record.stage,
                command=describe_command(record.request),
                run_id=record.run_id,
            )
        )
    elif record.state == "completed":
        _notify_of_champion(pipeline, record, notify)


def _notify_of_champion(pipeline: Pipeline, record: RunRecord, notify: Notify) -> None:
    facts = publish_facts(pipeline, record.stages["publish"])
    is_new = not record.stages["publish"].cached
    if is_new and (facts.decision.moves_alias or facts.decision.action == "held"):
        made = {"report": facts.report, "run_id": record.run_id}
        notify(describe_decision(facts.decision, link=facts.report_url, **made))
    upkeep = check_upkeep(pipeline, facts.registered_name)
    if upkeep is not None and upkeep.age_remark is not None:
        details = {"age_days": round(upkeep.age_days or 0, 1), "run_id": record.run_id}
        notify(describe_age(facts.registered_name, upkeep.age_remark, **details))


def check_upkeep(pipeline: Pipeline, registered: str) -> Upkeep | None:
    """What the champion that a run competed with needs; None if there is none."""
    ref = ChampionRef.parse(registered)
    state = read_state(ref, pipeline.settings)
    return None if state is None else check_champion(ref, state, pipeline.settings)
