"""`regrow.list_models`, `status` and `compare`: read-only, without heavy libraries."""

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
    """Information about a model.

    Attributes:
        name: the name, as used by functions and commands.
        title: a one-line title.
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
        registered: the champion's name in the registry: a model has one champion for real data, one
            for the sample, and one for each scope.
        version: the version in use; None if there is none.
        metric: the metric of the gate.
        value: the score of the version that was judged last.
        reason: the last decision, in words.
        waiting: the versions that wait for `regrow approve`.
        frozen: who froze the champion, and why; None if it is not frozen.
        problem: a description if registry and log disagree or cannot be read; otherwise None.
        last_run: the id of the model's last run.
        outcome: the outcome of that run.
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
        UserError: the files of the project are not valid.
    """
    specs = [get_spec(name) for name in list_names()]
    return Listing(
        ModelInfo(spec.name, spec.title, tuple(spec.presets), tuple(spec.config.model_fields))
        for spec in specs
    )


def status(model: str | None = None) -> Listing[ChampionStatus]:
    """Lists each champion with the last run of its model, and models without a champion.

    Args:
        model: list only this model.

    Raises:
        UserError: there is no such model.
    """
    settings = read_environment()
    names = [get_spec(model).name] if model else list_names()
    return Listing(line for name in names for line in _list_lines(read_status(name, settings)))


def compare(*runs: str | RunResult) -> Comparison:
    """Compares runs: settings, data, code, libraries, metrics and curves.

    Args:
        runs: results of `regrow.run`, run ids (or their start or end), MODEL for the last run of
            the model, MODEL~1 for the run before that, or REGISTERED@VERSION.

    Returns:
        The comparison; notebooks display it as tables.

    Raises:
        UserError: there are fewer than two runs, or a run does not exist.
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
