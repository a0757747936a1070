"""`regrow.list_models`, `status` and `compare`: they read, and import no heavy library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regrow.api.listing import Listing
from regrow.api.runs import RunResult
from regrow.base.project import get_spec
from regrow.base.project import list_models as list_names
from regrow.base.settings import read_environment
from regrow.operations.compare import Comparison, compare_runs
from regrow.operations.status import read_status


@dataclass(frozen=True)
class ModelInfo:
    """What there is to know about a model before it is run.

    Attributes:
        name: as the functions here and the commands take it.
        title: one line for people.
        presets: its named sets of settings; the first is the default.
        settings: the names of its settings.
    """

    name: str
    title: str
    presets: tuple[str, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True)
class ChampionStatus:
    """One champion of a model, and the model's last run.

    Attributes:
        model: the model's name.
        registered: the champion's name in the registry: a model has one champion on real data, one
            on the sample, and one for each scope.
        version: the version that is in use; None if there is none.
        metric: what the gate decided by.
        value: the figure of the version that was judged last.
        reason: the last decision, in words.
        waiting: the versions that wait for `regrow approve`.
        frozen: why and by whom the champion is frozen; None if it is not.
        problem: that registry and log disagree, or that one cannot be read; None if all is well.
        last_run: the id of the model's last run.
        outcome: how that run ended.
    """

    model: str
    registered: str
    version: int | None = None
    metric: str | None = None
    value: float | None = None
    reason: str | None = None
    waiting: tuple[int, ...] = ()
    frozen: str | None = None
    problem: str | None = None
    last_run: str | None = None
    outcome: str = "never run"


def list_models() -> Listing[ModelInfo]:
    """The models of this project.

    Raises:
        UserError: the project's files cannot be used.
    """
    specs = [get_spec(name) for name in list_names()]
    return Listing(
        ModelInfo(spec.name, spec.title, tuple(spec.presets), tuple(spec.config.model_fields))
        for spec in specs
    )


def status(model: str | None = None) -> Listing[ChampionStatus]:
    """Each champion and the last run of its model; one line for a model without a champion.

    Args:
        model: only this model.

    Raises:
        UserError: there is no such model.
    """
    settings = read_environment()
    names = [get_spec(model).name] if model else list_names()
    return Listing(line for name in names for line in _list_lines(read_status(name, settings)))


def compare(*runs: str | RunResult) -> Comparison:
    """Runs side by side: settings, data, code, libraries, metrics and curves.

    Args:
        runs: what `regrow.run` returned; or a run's id, or its beginning or end; MODEL for the
            model's last run, MODEL~1 for the run before that; REGISTERED@VERSION.

    Returns:
        What differs and what does not; a notebook shows it as tables.

    Raises:
        UserError: there are fewer than two, or there is no such run.
    """
    names = [run if isinstance(run, str) else run.run or "" for run in runs]
    return compare_runs(names, read_environment())


def _list_lines(found: Mapping[str, Any]) -> Iterator[ChampionStatus]:
    model = found["model"]
    run = {"last_run": found["last_run"], "outcome": found["outcome"]}
    named = {model: found["champion"], f"{model}.sample": found["champion_on_sample"]}
    named |= {f"{model}.{scope}": champion for scope, champion in found["scopes"].items()}
    known = {name: champion for name, champion in named.items() if champion}
    if not known:
        yield ChampionStatus(model, model, **run)
    for name, champion in known.items():
        yield ChampionStatus(
            model,
            name,
            version=champion["alias"],
            metric=champion["metric"],
            value=champion["challenger"],
            reason=champion["reason"],
            waiting=tuple(held["version"] for held in champion["held"]),
            frozen=champion["frozen"],
            problem=champion["problem"],
            **run,
        )
