"""One model run once for each of several values of a setting."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from regrow.engine.config import flatten, make_request, merge, nest
from regrow.engine.jobs import Job
from regrow.engine.spec import ModelSpec


class SweepRequest(BaseModel):
    """What is run. Plain JSON, so that it can be a flow's parameters.

    Attributes:
        model: the model's name.
        setting: the setting that differs, dots lead into nested ones.
        values: its values, one run each.
        preset: the preset of all runs; None for the first.
        overrides: settings of all runs.
        sample: whether the shipped sample is used.
        workers: runs at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    setting: str
    values: list[Any] = Field(min_length=1)
    preset: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)
    sample: bool = False
    workers: int = Field(2, ge=1, le=64)


def list_sweep(spec: ModelSpec, request: SweepRequest) -> list[Job]:
    """The runs of a sweep, once it is sure that each can be asked for.

    Raises:
        UserError: an unknown preset or setting, or a value out of bounds.
    """
    common = ["--sample"] if request.sample else []
    common += ["--preset", request.preset] if request.preset else []
    common += set_options(request.overrides)
    jobs = []
    for value in request.values:
        changes = merge(request.overrides, nest(request.setting, value))
        make_request(spec, preset=request.preset, overrides=changes)
        jobs.append(
            Job(
                name=f"{request.setting}={json.dumps(value)}",
                model=request.model,
                options=[*common, *set_options({request.setting: value})],
            )
        )
    return jobs


def set_options(settings: dict[str, Any]) -> list[str]:
    """Settings as options of `regrow run`."""
    options = []
    for name, value in flatten(settings).items():
        options += ["--set", f"{name}={json.dumps(value)}"]
    return options
