"""What a sweep runs: trials of one model with other settings, by a grid, at random, or by Optuna.

A trial ends when it is trained. Trials are ranked by a validation figure; only the best of them is
run to the end and judged by the gate.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regrow.base.errors import UserError
from regrow.base.spec import ModelSpec
from regrow.operations.jobs import Job
from regrow.pipeline.request import (
    DataChoice,
    ModelName,
    expand_settings,
    flatten,
    make_request,
    merge,
)
from regrow.pipeline.trials import LOSS

Method = Literal["grid", "random", "optuna"]
# Attempts at a combination that was not drawn before, for each one that is wanted.
DRAWS = 100
DIGITS = 4


class Range(BaseModel):
    """Values from `low` to `high`, both included; whole numbers if both are.

    Attributes:
        log: whether their logarithms are spread evenly, as for learning rates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.low} is not below {self.high}")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic scale requires values greater than 0")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, chance: random.Random) -> int | float:
        """A value at random."""
        if self.log:
            value = math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
        elif self.is_whole:
            return chance.randint(int(self.low), int(self.high))
        else:
            value = chance.uniform(self.low, self.high)
        return self.round(value)

    def round(self, value: float) -> int | float:
        """A value within the range, with as many digits as a person would type."""
        value = min(max(value, self.low), self.high)
        return round(value) if self.is_whole else float(f"{value:.{DIGITS}g}")


Values = Annotated[list[Any], Field(min_length=1)] | Range


class SweepRequest(BaseModel):
    """What a sweep runs: the parameters of its flow.

    Attributes:
        model: the model's name.
        over: by setting (dots lead into nested ones), its values or a range of them.
        method: "grid" tries every combination, "random" and "optuna" `trials` of them.
        trials: how many combinations are tried; None with "grid".
        budget_s: seconds after which no further trial is started; None for no limit.
        metric: the validation figure that ranks the trials.
        direction: whether a smaller or a larger figure is better.
        seed: what chance begins with.
        publish: whether the best trial is then run to the end and judged by the gate.
        preset: the preset of all runs; None for the model's first preset.
        overrides: settings that are changed in all runs.
        sample: whether the shipped sample is used.
        workers: maximum number of runs at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelName
    over: dict[str, Values] = Field(min_length=1)
    method: Method = "grid"
    trials: int | None = Field(None, ge=1, le=100_000)
    budget_s: float | None = Field(None, gt=0)
    metric: str = LOSS
    direction: Literal["minimize", "maximize"] = "minimize"
    seed: int = Field(0, ge=0, lt=2**32)
    publish: bool = True
    preset: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)
    sample: bool = False
    workers: int = Field(2, ge=1, le=64)


def check_sweep(spec: ModelSpec, request: SweepRequest) -> None:
    """Makes sure that the trials can be compared with each other and that all of them can be made.

    Raises:
        UserError: an unknown preset or setting, a value out of bounds, or nonsense.
    """
    _check_method(request)
    _check_settings(spec, request)
    corners = [
        [values.low, values.high] if isinstance(values, Range) else values
        for values in request.over.values()
    ]
    usual = [corner[0] for corner in corners]
    for position, corner in enumerate(corners):  # each value once, the others at their first
        for value in corner:
            chosen = [*usual[:position], value, *usual[position + 1 :]]
            make_trial(spec, request, dict(zip(request.over, chosen, strict=True)))


def list_trials(spec: ModelSpec, request: SweepRequest) -> list[Job]:
    """The trials of a sweep by "grid", in the order of its values, or by "random".

    Raises:
        UserError: a combination of values that the model refuses.
    """
    chosen = _grid(request) if request.method == "grid" else _draw(request)
    return [make_trial(spec, request, values) for values in chosen]


def make_trial(spec: ModelSpec, request: SweepRequest, values: Mapping[str, Any]) -> Job:
    """The trial with these values of the settings that are varied."""
    name = ", ".join(f"{setting}={json.dumps(value)}" for setting, value in values.items())
    data: DataChoice = "sample" if request.sample else "real"
    changes = merge(request.overrides, expand_settings(values))
    made = make_request(spec, preset=request.preset, overrides=changes, data=data, trial=True)
    return Job(name=name, request=made)


def make_final(trial: Job) -> Job:
    """The run to the end with the settings of a trial, whose training is found in the store."""
    return Job(name=trial.name, request=trial.request.model_copy(update={"trial": False}))


def _grid(request: SweepRequest) -> Iterator[dict[str, Any]]:
    lists = [values for values in request.over.values() if not isinstance(values, Range)]
    for chosen in itertools.product(*lists):
        yield dict(zip(request.over, chosen, strict=True))


def _draw(request: SweepRequest) -> list[dict[str, Any]]:
    """Combinations at random, each once; fewer than asked for where there are no more."""
    chance = random.Random(request.seed)
    found: dict[str, dict[str, Any]] = {}
    wanted = request.trials or 0
    for _ in range(wanted * DRAWS):
        if len(found) == wanted:
            break
        values = {
            name: of.draw(chance) if isinstance(of, Range) else chance.choice(of)
            for name, of in request.over.items()
        }
        found.setdefault(json.dumps(values), values)
    return list(found.values())


def _check_method(request: SweepRequest) -> None:
    if request.method == "grid":
        ranges = [name for name, values in request.over.items() if isinstance(values, Range)]
        if ranges:
            raise UserError(
                "a grid requires a list of values for each setting",
                where="--over",
                received=f"a range for {', '.join(ranges)}",
                remedies=[
                    "use a list, such as --over 'seeds=[1,3]'",
                    "or use --random N or --optuna N",
                ],
            )
        if request.trials or request.budget_s:
            raise UserError(
                "a grid tries every combination",
                where="--budget",
                remedies=["leave it out, or use --random N or --optuna N"],
            )
    elif request.trials is None:
        raise UserError(f"the method {request.method} requires a number of trials", where="trials")
    if not request.metric.startswith("val_"):
        raise UserError(
            "trials must be ranked by a metric on validation data",
            where="--metric",
            received=request.metric,
            expected="a training curve whose name starts with val_, such as val_loss",
        )


def _check_settings(spec: ModelSpec, request: SweepRequest) -> None:
    """Refuses settings whose trials differ in nothing or cannot be compared."""
    fixed = flatten(request.overrides)
    read = {name for stage in ("clean", "train") for name in spec.stages[stage].config}
    for name, values in request.over.items():
        top = name.partition(".")[0]
        if name in fixed:
            raise UserError(
                f"{name} is both varied and set to a single value",
                where="--over together with --set or --config",
                received=f"{name} = {fixed[name]}",
                remedies=["remove one of them"],
            )
        if top in spec.gate.split:
            raise UserError(
                f"trials with several values of {name} cannot be compared: "
                "it determines the data that they are measured on",
                where="--over",
                received=name,
            )
        if top in spec.config.model_fields and top not in read:
            raise UserError(
                f"trials with several values of {name} would be identical: no training reads it",
                where="--over",
                received=name,
                expected=f"one of {', '.join(sorted(read))}",
            )
        texts = [] if isinstance(values, Range) else [json.dumps(value) for value in values]
        if len(set(texts)) < len(texts):
            raise UserError(
                f"a value of {name} is given twice", where="--over", received=", ".join(texts)
            )
