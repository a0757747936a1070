"""Sweeps: what is tried, what is refused, how trials are ranked; and that none is registered."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.sweep import parse_duration, parse_over
from regrow.operations.child import run_in_process
from regrow.operations.ranking import choose_best, rank
from regrow.operations.search import identify, open_search
from regrow.operations.status import read_status
from regrow.operations.sweep import Range, SweepRequest, check_sweep, list_trials, make_final
from regrow.pipeline.records import list_runs
from regrow.pipeline.request import make_request
from regrow.pipeline.trials import average_figures
from regrow.report.history import TrainingRecord
from tests.conftest import Regrow
from tests.support.commands import wait_for

CODER = get_spec("stacked-autoencoder")
RATES = Range(low=0.0001, high=0.01, log=True)


def ask(**changes: Any) -> SweepRequest:
    values = {"model": "stacked-autoencoder", "over": {"noise": [0.1, 0.2]}, **changes}
    return SweepRequest.model_validate(values)


def test_a_grid_is_every_combination_in_the_order_given() -> None:
    trials = list_trials(CODER, ask(over={"noise": [0.1, 0.2], "widths": [[64, 8], [8]]}))
    assert [trial.name for trial in trials] == [
        "noise=0.1, widths=[64, 8]",
        "noise=0.1, widths=[8]",
        "noise=0.2, widths=[64, 8]",
        "noise=0.2, widths=[8]",
    ]
    assert trials[1].request.config["widths"] == [8]
    assert all(trial.request.trial for trial in trials)
    assert not make_final(trials[0]).request.trial


def test_random_trials_depend_on_the_seed_alone_and_none_comes_twice() -> None:
    over = {"learning_rate": RATES, "batch_size": Range(low=16, high=64), "noise": [0.1, 0.2]}
    request = ask(over=over, method="random", trials=30)
    trials = list_trials(CODER, request)
    assert trials == list_trials(CODER, request)
    assert trials != list_trials(CODER, request.model_copy(update={"seed": 1}))
    configs = [trial.request.config for trial in trials]
    assert len({trial.name for trial in trials}) == 30
    assert all(0.0001 <= config["learning_rate"] <= 0.01 for config in configs)
    assert RATES.round(0.00123456) == 0.001235
    assert any(config["learning_rate"] < 0.001 for config in configs)  # else it is not log
    assert all(isinstance(config["batch_size"], int) for config in configs)
    few = ask(over={"noise": [0.1, 0.2]}, method="random", trials=30)
    assert len(list_trials(CODER, few)) == 2


def test_a_range_is_of_numbers_in_order() -> None:
    for wrong in ({"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}):
        with pytest.raises(ValidationError):
            Range.model_validate(wrong)


NONSENSE: dict[str, tuple[str, dict[str, Any], str]] = {
    "range in a grid": (
        "stacked-autoencoder",
        {"over": {"noise": RATES}},
        "a grid requires a list",
    ),
    "budget of a grid": ("stacked-autoencoder", {"budget_s": 3}, "every combination"),
    "no number": ("stacked-autoencoder", {"method": "random"}, "requires a number of trials"),
    "test figure": ("stacked-autoencoder", {"metric": "mse"}, "a metric on validation data"),
    "set and varied": (
        "stacked-autoencoder",
        {"overrides": {"noise": 0.5}},
        "is both varied and set to a single value",
    ),
    "twice": ("stacked-autoencoder", {"over": {"noise": [0.1, 0.1]}}, "given twice"),
    "unknown": ("stacked-autoencoder", {"over": {"nois": [0.1]}}, "not valid"),
    "a bad second value": ("stacked-autoencoder", {"over": {"noise": [0.1, -1]}}, "not valid"),
    "a bad end": (
        "stacked-autoencoder",
        {"over": {"noise": Range(low=0.0, high=9.0)}, "method": "random", "trials": 2},
        "not valid",
    ),
    "the split": ("air-quality", {"over": {"test_share": [0.2, 0.3]}}, "cannot be compared"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_before_anything_runs(name: str) -> None:
    model, changes, said = NONSENSE[name]
    with pytest.raises(UserError, match=said):
        check_sweep(get_spec(model), ask(model=model, **changes))


def test_a_setting_that_no_training_reads_is_refused() -> None:
    stages = {**CODER.stages, "train": replace(CODER.stages["train"], config=("noise",))}
    with pytest.raises(UserError, match="would be identical"):
        check_sweep(replace(CODER, stages=stages), ask(over={"widths": [[8], [16]]}))


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (["noise=0.1"], "a list of values or a range"),
        (["noise=[]"], "a list of values or a range"),
        (["noise"], "NAME=VALUE"),
        (["noise=0.2..0.1"], "is not below"),
        (["noise=0..1:log"], "values greater than 0"),
        (["noise=a..b"], "not a range of numbers"),
        (["noise=[0.1]", "noise=[0.2]"], "given twice"),
    ],
    ids=str,
)
def test_what_is_varied_is_a_list_or_a_range(over: list[str], said: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_over(over)
    assert said in str(raised.value)


def test_lists_ranges_and_times_are_read_as_they_are_typed() -> None:
    assert parse_over(["noise=[0, 0.5]", "batch_size=16..64", "rate=1e-4..1e-2:log"]) == {
        "noise": [0, 0.5],
        "batch_size": Range(low=16, high=64),
        "rate": RATES.model_copy(update={"low": 1e-4, "high": 1e-2}),
    }
    assert [parse_duration(text) for text in ("90s", "1.5m", "2h")] == [90, 90, 7200]
    for wrong in ("soon", "20", "0s"):
        with pytest.raises(UserError, match="the budget must be a duration"):
            parse_duration(wrong)


def test_a_mistake_on_the_command_line_is_one_message(regrow: Regrow) -> None:
    for options, said in (
        (("--random", "3", "--optuna", "3"), "cannot be combined"),
        (("--optuna", "3", "--dask", "local"), "on this machine"),
    ):
        done = regrow("sweep", "stacked-autoencoder", "--over", "noise=[0.1]", *options)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def outcome(loss: float, clean: str = "a", **more: float) -> dict[str, Any]:
    figures = {"val_loss": loss, **more}
    return {"validation": figures, "curves": {"val_loss": [9.0, loss]}, "clean": clean}


def test_trials_are_ranked_by_validation_then_pruned_then_failed() -> None:
    request = ask(over={"noise": [0.1, 0.2, 0.3, 0.4, 0.5]})
    trials = list_trials(CODER, request)
    found: list[Any] = [
        "it broke\n  received: a bad thing",
        outcome(0.5),
        {"pruned": 4, "value": 0.9},
        outcome(0.25),
        outcome(float("nan")),
    ]
    outcomes = {trial.name: one for trial, one in zip(trials, found, strict=True)}
    table = rank(request, outcomes)
    assert [row[0] for row in table["rows"]] == [
        "noise=0.4",
        "noise=0.2",
        "noise=0.5",
        "noise=0.3",
        "noise=0.1",
    ]
    assert [row[3] for row in table["rows"]] == [
        "",
        "",
        "not a number",
        "pruned at epoch 4",
        "a bad thing",
    ]
    assert table["failed"] == 1
    best = choose_best(CODER, request, trials, outcomes)
    assert best[""].name == "noise=0.4"
    largest = request.model_copy(update={"direction": "maximize"})
    assert choose_best(CODER, largest, trials, outcomes)[""].name == "noise=0.2"
    with pytest.raises(UserError, match="recorded no metric 'val_mae'") as raised:
        rank(request.model_copy(update={"metric": "val_mae"}), outcomes)
    assert raised.value.expected == "val_loss"


def test_trials_on_different_data_are_not_ranked() -> None:
    request = ask()
    first, second = list_trials(CODER, request)
    outcomes = {first.name: outcome(1, "a"), second.name: outcome(2, "b")}
    with pytest.raises(UserError, match="trained on different data"):
        choose_best(CODER, request, [first, second], outcomes)


def test_each_scope_has_its_own_best() -> None:
    spec = get_spec("question-answering")
    request = ask(model=spec.name, over={"tasks": [[1], [2]]})
    trials = list_trials(spec, request)
    outcomes = {trials[0].name: outcome(1), trials[1].name: outcome(2, "b")}
    assert choose_best(spec, request, trials, outcomes) == {"qa01": trials[0], "qa02": trials[1]}


def test_a_figure_is_the_mean_over_the_seeds() -> None:
    runs = [
        TrainingRecord({"val_loss": [9, 8], "val_mae": [1, loss], "loss": [1]}, val_loss=loss)
        for loss in (0.25, 0.75)
    ]
    assert average_figures(runs) == {"val_loss": 0.5, "val_mae": 0.5}


def without_age(status: dict[str, Any]) -> dict[str, Any]:
    """A model's status without how long ago its champion was made."""
    champion = status["champion_on_sample"]
    return {**status, "champion_on_sample": {**champion, "age_days": None}}


def test_a_trial_ends_when_it_is_trained_and_nothing_is_registered(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    monkeypatch.setenv("REGROW_HOME", str(home))
    settings = read_environment()
    before = without_age(read_status("air-quality", settings))
    spec = get_spec("air-quality")
    summary = run_in_process(make_request(spec, preset="quick", data="sample", trial=True))
    assert [ref["stage"] for ref in summary["stages"]] == ["download", "clean", "validate", "train"]
    assert all(ref["cached"] for ref in summary["stages"])  # what a run has done is found
    assert summary["validation"]["val_loss"] > 0
    assert "version" not in summary
    assert without_age(read_status("air-quality", settings)) == before
    assert sum(record.request.trial for record in list_runs(settings.home, "air-quality")) == 1


def test_a_study_is_named_by_all_that_its_figures_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGROW_HOME", str(tmp_path))
    settings = read_environment()
    request = ask(method="optuna", trials=5)
    name = identify(CODER, request, settings)
    same = {"trials": 9, "budget_s": 3.0, "workers": 1, "publish": False}
    assert identify(CODER, request.model_copy(update=same), settings) == name
    for change in (
        {"overrides": {"tuning_epochs": 5}},
        {"preset": "quick"},
        {"over": {"noise": [0.1, 0.3]}},
        {"metric": "val_mae"},
        {"seed": 2},
    ):
        assert identify(CODER, request.model_copy(update=change), settings) != name


def test_a_search_that_goes_on_begins_with_what_was_under_way_and_draws_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGROW_HOME", str(tmp_path))
    settings = read_environment()
    request = ask(over={"learning_rate": RATES, "noise": [0.1, 0.2]}, method="optuna", trials=9)
    drawn: list[str] = []
    for _ in range(2):
        with open_search(CODER, request, settings) as search:
            for _ in range(3):
                asked = search.ask()
                assert asked
                drawn.append(asked[1].name)
            # What came to an end is known afterwards; the last one is as if it had been killed.
            for trial in search.study.get_trials()[-3:-1]:
                search.study.tell(trial.number, 0.5)
            with (
                pytest.raises(UserError, match="already running"),
                open_search(CODER, request, settings),
            ):
                pass
    assert drawn[3] == drawn[2]
    assert len({*drawn}) == 5


def search(home: Path, *options: str) -> list[str]:
    over = ("--over", "noise=0.0..1.0", "--over", "learning_rate=0.00001..0.05:log")
    small = ("--set", "widths=[16]", "--set", "layer_epochs=1", "--set", "tuning_epochs=8")
    quick = ("--preset", "quick", *small, "--workers", "1", "--json")
    return [sys.executable, "-m", "regrow.cli", "sweep", CODER.name, *over, *quick, *options]


@pytest.mark.e2e
def test_a_killed_search_by_optuna_goes_on_and_only_the_best_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("REGROW_HOME", str(home))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    records = home / "runs" / CODER.name
    first = subprocess.Popen(search(home, "--optuna", "8"), stdout=subprocess.DEVNULL)
    wait_for("three trials", lambda: len(list(records.glob("[!.]*.json"))) > 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    command = search(home, "--optuna", "8")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=900)
    table = json.loads(done.stdout)
    assert len(table["runs"]) == 8
    pruned = [row for row in table["rows"] if str(row[3]).startswith("pruned at epoch")]
    assert pruned, "no trial was ended early"
    log = (home / "decisions" / f"{CODER.name}.jsonl").read_text().splitlines()
    assert [json.loads(line)["version"] for line in log] == [1]
    (name,) = table["published"]["runs"]
    assert name == table["rows"][0][0]
    (final,) = table["published"]["runs"].values()
    assert [ref["stage"] for ref in final["stages"] if ref["cached"]][-1] == "train"
    again = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=900)
    assert json.loads(again.stdout)["rows"] == table["rows"]


@pytest.mark.e2e
def test_a_sweep_at_random_keeps_its_budget(tmp_path: Path, regrow: Regrow) -> None:
    over = ("--over", "noise=0.0..1.0", "--preset", "quick", "--random", "9", "--budget", "1s")
    done = regrow("sweep", CODER.name, *over, "--workers", "1", "--no-publish", "--json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert table["not_started"] > 0
    assert table["published"] is None
    assert not (tmp_path / "home" / "decisions").exists()
