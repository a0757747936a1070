"""The records of runs: what each did, and whether it is under way."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from regrow.base.home import Home
from regrow.base.locks import is_held
from regrow.pipeline.request import RunRequest
from regrow.pipeline.stages import Stage, StageRef

# For so long a run of another machine is believed, whose locks may not be seen from here.
BELIEVED = timedelta(days=2)


class RunRecord(BaseModel):
    """What one run did. A run whose `state` stays "running" although it has ended was killed."""

    run_id: str
    request: RunRequest
    started_at: str
    finished_at: str | None = None
    state: Literal["running", "completed", "failed", "interrupted"] = "running"
    stage: Stage | None = None
    stages: dict[Stage, StageRef] = {}
    error: str | None = None
    pid: int = 0
    host: str = ""

    def is_alive(self, home: Home) -> bool:
        """Whether it is under way: it holds its lock; another machine's is believed for a while."""
        if self.state != "running":
            return False
        if is_held(run_lock(home, self.request.model, self.run_id)):
            return True
        if self.host in ("", platform.node()):
            return False
        return datetime.now(UTC) - datetime.fromisoformat(self.started_at) < BELIEVED

    def outcome(self, home: Home) -> str:
        """The state as a person would put it."""
        if self.state == "completed":
            return "cached" if all(ref.cached for ref in self.stages.values()) else "completed"
        if self.state == "failed":
            return f"failed in {self.stage}"
        return f"running {self.stage}" if self.is_alive(home) else f"interrupted in {self.stage}"


def run_lock(home: Home, model: str, run_id: str) -> Path:
    """The lock file that a run holds as long as its process lives."""
    return home.lock(f"{model}-run-{run_id}")


def last_run(home: Home, model: str) -> RunRecord | None:
    """The newest readable record of a model's runs that was no trial."""
    return next((run for run in list_runs(home, model) if not run.request.trial), None)


def last_success(home: Home, model: str) -> RunRecord | None:
    """The newest record of a model's successful runs that was no trial."""
    runs = list_runs(home, model)
    return next((r for r in runs if r.state == "completed" and not r.request.trial), None)


def list_runs(home: Home, model: str) -> Iterator[RunRecord]:
    """The readable records of a model's runs, the newest first."""
    for path in sorted((home.runs / model).glob("[!.]*.json"), reverse=True):
        try:
            yield RunRecord.model_validate_json(path.read_bytes())
        except (ValidationError, OSError):
            continue  # written by another version of regrow


def is_busy(home: Home, model: str) -> bool:
    """Whether a run of the model is under way."""
    for path in (home.runs / model).glob("[!.]*.json"):
        try:
            text = path.read_bytes()
            # Most records are of runs that have ended: these need not be read in full.
            if b'"running"' in text and RunRecord.model_validate_json(text).is_alive(home):
                return True
        except (ValidationError, OSError):
            continue
    return False
