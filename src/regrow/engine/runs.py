"""Runs: the stages in order, and a record of each run that status, why and people read."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from regrow.engine.config import RunRequest
from regrow.engine.gate import parse_decision
from regrow.engine.notify import Notify, notice_champion, notice_failure, send_webhook
from regrow.engine.pipeline import STAGES, Pipeline, Stage, StageRef
from regrow.engine.progress import report
from regrow.engine.secrets import hide_secrets
from regrow.engine.store import write_json

# Nobody here can see whether a process of another machine that shares this home still lives.
BELIEVED = timedelta(days=2)

RunOne = Callable[[Stage, Mapping[Stage, StageRef]], StageRef]


class RunRecord(BaseModel):
    """What one run did. `state` is "running" while `pid` lives on `host`, else interrupted."""

    run_id: str
    request: RunRequest
    started_at: str
    finished_at: str | None = None
    state: Literal["running", "completed", "failed"] = "running"
    stage: Stage | None = None
    stages: dict[Stage, StageRef] = {}
    error: str | None = None
    pid: int = 0
    host: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether it is under way. Of another machine's it is believed for two days."""
        if self.state != "running":
            return False
        if self.host in ("", platform.node()):
            return bool(self.pid) and Path(f"/proc/{self.pid}").exists()
        return datetime.now(UTC) - datetime.fromisoformat(self.started_at) < BELIEVED

    @property
    def outcome(self) -> str:
        """The state as a person would put it."""
        if self.state == "completed":
            return "cached" if all(ref.cached for ref in self.stages.values()) else "completed"
        if self.state == "failed":
            return f"failed in {self.stage}"
        return f"running {self.stage}" if self.is_alive else f"interrupted in {self.stage}"


def run_stages(
    pipeline: Pipeline, run_one: RunOne, *, notify: Notify = send_webhook
) -> dict[Stage, StageRef]:
    """Runs every stage in order, through `run_one`, and keeps the run's record up to date.

    Args:
        notify: is told of a failure, and of a new champion.
    """
    now = datetime.now(UTC)
    record = RunRecord(
        run_id=f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}",
        request=pipeline.request,
        started_at=now.isoformat(timespec="seconds"),
        pid=os.getpid(),
        host=platform.node(),
    )
    path = _directory(pipeline.settings.home, pipeline.spec.name) / f"{record.run_id}.json"
    pipeline.store.sweep(pipeline.spec.name)
    try:
        for number, (stage, needs) in enumerate(STAGES.items()):
            report("stages", number, len(STAGES))
            record.stage = stage
            write_json(path, record.model_dump(mode="json"))
            record.stages[stage] = run_one(stage, {name: record.stages[name] for name in needs})
        report("stages", len(STAGES), len(STAGES))
        record.state = "completed"
    except BaseException as error:
        record.state = "failed"
        record.error = hide_secrets(str(error)) or type(error).__name__
        raise
    finally:
        record.finished_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(path, record.model_dump(mode="json"))
        _tell(pipeline, record, notify)
    return record.stages


def _tell(pipeline: Pipeline, record: RunRecord, notify: Notify) -> None:
    """Sends the run's notice, if there is something that a person would want to know."""
    model = pipeline.spec.name
    if record.state == "failed":
        what = f"{model} ({record.request.preset}), stage {record.stage},"
        error = record.error or ""
        notify(notice_failure(model, what, error, stage=record.stage, run_id=record.run_id))
    elif not record.stages["publish"].cached:
        facts = pipeline.entry(record.stages["publish"]).facts
        decision = parse_decision(facts["decision"])
        if decision.moves_alias:
            notify(notice_champion(decision, report=facts["report"], run_id=record.run_id))


def last_run(home: Path, model: str) -> RunRecord | None:
    """The newest readable record of a model's runs."""
    return next(list_runs(home, model), None)


def list_runs(home: Path, model: str) -> Iterator[RunRecord]:
    """The readable records of a model's runs, the newest first."""
    for path in sorted(_directory(home, model).glob("*.json"), reverse=True):
        try:
            yield RunRecord.model_validate_json(path.read_bytes())
        except (ValidationError, OSError):
            continue  # written by another version of regrow


def is_busy(home: Path, model: str) -> bool:
    """Whether a run of the model is under way."""
    for path in _directory(home, model).glob("*.json"):
        try:
            text = path.read_bytes()
            # Most records are of runs that have ended: these need not be read in full.
            if b'"running"' in text and RunRecord.model_validate_json(text).is_alive:
                return True
        except (ValidationError, OSError):
            continue
    return False


def _directory(home: Path, model: str) -> Path:
    return home / "runs" / model
