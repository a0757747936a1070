"""A search for settings through Optuna: it proposes trials and ends hopeless ones between epochs.

The study is a file in the home, named by everything that a trial's figure depends on. A search that
was killed is resumed: trials that were under way are the first to be tried again, from
their checkpoints.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from regrow.base.digests import digest_json
from regrow.base.errors import LockTimeout, ProcessDied, UserError
from regrow.base.locks import exclusive
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec
from regrow.operations.child import run_in_process
from regrow.operations.jobs import Job, limit_threads
from regrow.operations.sweep import Range, SweepRequest, make_trial
from regrow.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

KEY_DIGITS = 16
SEED = re.compile(r"-seed-\d+")
# No trial is ended before so many others have shown what is usual, and before so many epochs.
USUAL_TRIALS = 4
FIRST_EPOCHS = 3
# Attributes of trials and studies.
ERROR, PRUNED, SHOWN, SUMMARY = "error", "pruned", "shown", "summary"


class Pruned(Exception):
    """A trial was ended because others did better after as many epochs."""


@dataclass
class Search:
    """A study, and how its trials are run.

    Attributes:
        outcomes: by the trial's name, its summary, {"pruned": epoch, "value": ...} or the error.
        jobs: the trials of this search, those that an earlier process has done included.
    """

    spec: ModelSpec
    request: SweepRequest
    study: optuna.Study
    deadline_s: float
    outcomes: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)

    def ask(self) -> tuple[optuna.Trial, Job] | None:
        """The next trial; None once there are enough or the budget is used up."""
        done = [trial for trial in self.study.get_trials(deepcopy=False) if not _is_lost(trial)]
        if len(done) >= (self.request.trials or 0) or time.monotonic() >= self.deadline_s:
            return None
        trial = self.study.ask()
        values = {name: _suggest(trial, name, of) for name, of in self.request.over.items()}
        return trial, make_trial(self.spec, self.request, values)

    def run(self, trial: optuna.Trial, job: Job, workers: int = 1) -> None:
        """Runs a trial in a process of its own; what it came to is in the study afterwards."""
        from optuna.trial import TrialState

        watch = Watch(self, trial)
        try:
            summary = _run(job, workers, watch)
        except Pruned:
            trial.set_user_attr(PRUNED, watch.epoch)
            self.study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:
            trial.set_user_attr(ERROR, str(error))
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            watch.learn(summary)
            figure = summary["validation"].get(self.request.metric)
            trial.set_user_attr(SUMMARY, summary)
            if figure is None or not math.isfinite(figure):
                self.study.tell(trial, state=TrialState.FAIL)
            else:
                self.study.tell(trial, figure)

    def collect(self) -> None:
        """Reads what all trials of the study came to, into `outcomes` and `jobs`."""
        for trial in self.study.get_trials(deepcopy=False):
            if _is_lost(trial):
                continue
            values = {name: _decode(self.request.over[name], v) for name, v in trial.params.items()}
            job = make_trial(self.spec, self.request, values)
            if job.name in self.jobs and SUMMARY not in trial.user_attrs:
                continue  # the same settings came to an end before
            self.jobs[job.name] = job
            self.outcomes[job.name] = _outcome(trial)


class Watch:
    """Hands the epochs of a trial to its study, and ends it where others did better.

    A trial has several trainings (seeds, variants, phases), each on a scale of its own. The one
    that counts is the first seed of what the first finished trial has published.
    """

    def __init__(self, search: Search, trial: optuna.Trial) -> None:
        self.search = search
        self.trial = trial
        self.epoch = 0
        self.curves: dict[str, dict[int, float]] = {}

    def __call__(self, training: str, epoch: int, values: Mapping[str, float]) -> None:
        """Called after each epoch.

        Raises:
            Pruned: others did better.
        """
        value = values.get(self.search.request.metric)
        if value is None or not math.isfinite(value):
            return
        self.curves.setdefault(training, {})[epoch] = value
        if training != self.search.study.user_attrs.get(SHOWN):
            return
        self.epoch = epoch
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            raise Pruned

    def learn(self, summary: Mapping[str, Any]) -> None:
        """Notes which training counts, once a trial has ended."""
        if SHOWN in self.search.study.user_attrs:
            return
        metric = self.search.request.metric
        curve = summary["curves"].get(metric, [])
        published = [name for name, values in self.curves.items() if [*values.values()] == curve]
        alike = [name for name in self.curves if published and _same(name, published[0])]
        for training in alike[:1]:
            self.search.study.set_user_attr(SHOWN, training)
            for epoch, value in self.curves[training].items():
                self.trial.report(value, epoch)


@contextmanager
def open_search(spec: ModelSpec, request: SweepRequest, settings: Settings) -> Iterator[Search]:
    """The search for a request: a new one, or the one that was begun.

    Raises:
        UserError: Optuna is not installed, or the same search is already running.
    """
    check_optuna()
    key = f"{spec.name}-{identify(spec, request, settings)}"
    path = settings.home.searches / f"{key}.log"
    try:
        with exclusive(settings.home.lock(f"search-{key}"), timeout_s=0):
            study = _open_study(path, key, request)
            budget = math.inf if request.budget_s is None else request.budget_s
            yield Search(spec, request, study, time.monotonic() + budget)
    except LockTimeout as error:
        raise UserError(
            "the same search is already running",
            where=str(path),
            remedies=["wait for it to finish, or change --seed to start another search"],
        ) from error


def _open_study(path: Path, key: str, request: SweepRequest) -> optuna.Study:
    """The study in a journal, which is made if there is none."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(path))),
        study_name=key,
        load_if_exists=True,
        direction=request.direction,
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=USUAL_TRIALS, n_warmup_steps=FIRST_EPOCHS
        ),
    )
    study.sampler = optuna.samplers.TPESampler(
        # A search that goes on must not draw again what was drawn before.
        seed=request.seed + len(study.get_trials(deepcopy=False)),
        constant_liar=request.workers > 1,
        multivariate=True,
    )
    _resume(study)
    return study


def check_optuna() -> None:
    """Makes sure that Optuna is installed.

    Raises:
        UserError: it is not.
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UserError(
            "Optuna is not installed",
            where="--optuna",
            expected="the extra optuna",
            remedies=[
                "pip install 'regrow[optuna]'",
                "or use --random N, which does not need Optuna",
            ],
        ) from None


def identify(spec: ModelSpec, request: SweepRequest, settings: Settings) -> str:
    """A digest of all that the figure of a trial depends on, other than the settings it varies."""
    usual = {n: of.low if isinstance(of, Range) else of[0] for n, of in request.over.items()}
    pipeline = Pipeline(spec, make_trial(spec, request, usual).request, settings)
    sample = request.sample
    parts = {
        "data": pipeline.components("download", {}, sample=sample)["inputs"],
        "clean": pipeline.components("clean", {"download": ""}),
        "train": pipeline.components("train", {"clean": ""}),
        "over": {
            name: of.model_dump() if isinstance(of, Range) else of
            for name, of in request.over.items()
        },
        "search": [request.metric, request.direction, request.seed],
    }
    return digest_json(parts)[:KEY_DIGITS]


def _run(job: Job, workers: int, watch: Watch) -> dict[str, Any]:
    """The summary of a trial; one whose process is killed once goes on from its checkpoint."""
    environment = limit_threads(workers)
    try:
        return run_in_process(job.request, environment=environment, on_epoch=watch)
    except ProcessDied:
        return run_in_process(job.request, environment=environment, on_epoch=watch)


def _resume(study: optuna.Study) -> None:
    """Lets the trials that a killed process has left behind be the next ones."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, skip_if_exists=False)


def _is_lost(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether nothing came of a trial: it waits, or its process was killed."""
    from optuna.trial import TrialState

    told = {ERROR, PRUNED, SUMMARY} & trial.user_attrs.keys()
    return trial.state == TrialState.WAITING or (trial.state == TrialState.FAIL and not told)


def _same(one: str, other: str) -> bool:
    """Whether two trainings differ in their seed alone."""
    return SEED.sub("", one) == SEED.sub("", other)


def _outcome(trial: optuna.trial.FrozenTrial) -> Any:
    if SUMMARY in trial.user_attrs:
        return trial.user_attrs[SUMMARY]
    if PRUNED in trial.user_attrs:
        epoch = trial.user_attrs[PRUNED]
        return {"pruned": epoch, "value": trial.intermediate_values.get(epoch)}
    return trial.user_attrs.get(ERROR, "it has not finished")


def _suggest(trial: optuna.Trial, name: str, of: list[Any] | Range) -> Any:
    if not isinstance(of, Range):
        # Optuna knows no lists as values.
        return _decode(of, trial.suggest_categorical(name, [json.dumps(value) for value in of]))
    if of.is_whole:
        return trial.suggest_int(name, int(of.low), int(of.high), log=of.log)
    return _decode(of, trial.suggest_float(name, of.low, of.high, log=of.log))


def _decode(of: list[Any] | Range, value: Any) -> Any:
    return of.round(value) if isinstance(of, Range) else json.loads(value)
