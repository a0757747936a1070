"""Runs: the stages in order, and a record of each run that status, why and people read."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from regrow.engine.config import RunRequest
from regrow.engine.pipeline import STAGES, Pipeline, Stage, StageRef
from regrow.engine.progress import report
from regrow.engine.store import write_json

RunOne = Callable[[Stage, Mapping[Stage, StageRef]], StageRef]


class RunRecord(BaseModel):
    """What one run did. `state` is "running" while `pid` lives, else it was interrupted."""

    run_id: str
    request: RunRequest
    started_at: str
    finished_at: str | None = None
    state: Literal["running", "completed", "failed"] = "running"
    stage: Stage | None = None
    stages: dict[Stage, StageRef] = {}
    error: str | None = None
    pid: int = 0

    @property
    def outcome(self) -> str:
        """The state as a person would put it."""
        if self.state == "completed":
            return "cached" if all(ref.cached for ref in self.stages.values()) else "completed"
        if self.state == "failed":
            return f"failed in {self.stage}"
        alive = self.pid and Path(f"/proc/{self.pid}").exists()
        return f"running {self.stage}" if alive else f"interrupted in {self.stage}"


def run_stages(pipeline: Pipeline, run_one: RunOne) -> dict[Stage, StageRef]:
    """Runs every stage in order, through `run_one`, and keeps the run's record up to date."""
    now = datetime.now(UTC)
    record = RunRecord(
        run_id=f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}",
        request=pipeline.request,
        started_at=now.isoformat(timespec="seconds"),
        pid=os.getpid(),
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
        record.error = str(error) or type(error).__name__
        raise
    finally:
        record.finished_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(path, record.model_dump(mode="json"))
    return record.stages


def last_run(home: Path, model: str) -> RunRecord | None:
    """The newest readable record of a model's runs."""
    for path in sorted(_directory(home, model).glob("*.json"), reverse=True):
        try:
            return RunRecord.model_validate_json(path.read_bytes())
        except (ValidationError, OSError):
            continue  # written by another version of regrow
    return None


def _directory(home: Path, model: str) -> Path:
    return home / "runs" / model
