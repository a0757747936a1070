"""How well question-answering does on bAbI's test files, beside simple ways and the papers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.question_answering.baselines import COMMONEST, measure_baselines
from regrow.models.question_answering.figures import draw_attention
from regrow.models.question_answering.paper import REPORTED
from regrow.models.question_answering.score import (
    FAILED_PERCENT,
    answer_questions,
    count_errors,
    find_right,
)
from regrow.models.question_answering.table import read_questions
from regrow.models.question_answering.tasks import ONLY_EN, TASKS, Edition
from regrow.report.charts import plot_bars
from regrow.report.evaluation import Baseline, Evaluation, Figures, Headline, Table
from regrow.training.inference import load_model
from regrow.training.seeds import load_runs

if TYPE_CHECKING:
    import pandas as pd

    from regrow.store.context import StageContext

Errors = dict[int, float]
"""Errors in percent by task."""

Runs = dict[str, dict[str, Errors]]
"""Errors of every training, by network and seed."""

PUBLISHED = "published"
# A figure of each kind is enough to see what the network looks at.
SHOWN = 3
ATTENTION = "Attention to each sentence, by layer or hop; dots mark the supporting facts."


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every training, the published network and simple ways on the same test questions.

    Writes `evaluation.json`, `predictions.parquet` (id, task, question, answer, predicted,
    confidence, right) and the figures.
    """
    config, train = ctx.config, ctx.inputs["train"]
    table = ctx.inputs["clean"].file("table.parquet")
    test = read_questions(table, split="test", forget=config.forget_answered)
    runs: Runs = {}
    for name in config.networks:
        if models := load_runs(train.path, name):
            runs[name] = {seed: _measure(model, test) for seed, model in models.items()}
    model = load_model(train.file("model.keras"))
    found = answer_questions(model, test)
    right = find_right(model, test, found["answer"])
    published = count_errors(test, right)
    ctx.progress("baselines", 0, 1)
    training = read_questions(table, split="train", forget=config.forget_answered)
    baselines = measure_baselines(training, test)
    ctx.progress("baselines", 1, 1)
    _write_predictions(ctx, model, test, found["answer"], right)
    figures = Figures(ctx.out)
    _draw_errors(figures, published, baselines)
    if "attention" in found:
        _draw_attention(figures, model, test, found, right)
    return Evaluation(
        headline=_headline(runs, published, baselines),
        metrics=_list_metrics(runs, published),
        tables=(
            _tabulate_tasks(config.edition, published, runs, baselines),
            _tabulate_networks(runs),
        ),
        figures=figures,
        notes=_note(ctx, len(training), len(test)),
    ).write(ctx.out, test_questions=len(test))


def _measure(model: Any, test: pd.DataFrame) -> Errors:
    return count_errors(test, find_right(model, test, answer_questions(model, test)["answer"]))


def _mean(errors: Mapping[int, float]) -> float:
    return statistics.fmean(errors.values())


def _list_means(seeds: Mapping[str, Errors]) -> list[float]:
    """The mean over the tasks, of every training of a network."""
    return [_mean(errors) for errors in seeds.values()]


def _list_metrics(runs: Runs, published: Errors) -> dict[str, float]:
    return {
        "error_percent": _mean(published),
        "failed_tasks": sum(value > FAILED_PERCENT for value in published.values()),
        **{
            f"mean_error_percent_{name}": statistics.fmean(_list_means(seeds))
            for name, seeds in runs.items()
        },
        **{f"error_percent_qa{task:02}": value for task, value in published.items()},
    }


def _headline(runs: Runs, published: Errors, baselines: Mapping[str, Errors]) -> Headline:
    best = min(baselines, key=lambda name: _mean(baselines[name]))
    means = [mean for seeds in runs.values() for mean in _list_means(seeds)]
    return Headline(
        metric="error_percent",
        label="wrong answers to test questions",
        unit="%",
        value=_mean(published),
        spread=statistics.pstdev(means),
        seeds=len(means),
        baseline=Baseline(name=best, value=_mean(baselines[best])),
        simplest=Baseline(name=COMMONEST, value=_mean(baselines[COMMONEST])),
    )


def _tabulate_tasks(
    edition: Edition, published: Errors, runs: Runs, baselines: Mapping[str, Errors]
) -> Table:
    columns = _list_columns(edition, published, runs, baselines)
    rows: list[list[Any]] = [
        [f"{task} {TASKS[task]}", *(column[task] for column in columns.values())]
        for task in published
    ]
    if len(rows) > 1:
        rows.append(["mean", *(_mean(column) for column in columns.values())])
        failed: list[int | None] = [
            None if name.endswith("spread") else sum(v > FAILED_PERCENT for v in column.values())
            for name, column in columns.items()
        ]
        rows.append(["failed", *failed])
    return Table(
        title="Errors by task",
        caption=(
            "Percentage of wrong answers to the test questions of a task; failed: tasks with "
            f"more than {FAILED_PERCENT:g} %. Results from papers are for their own training "
            "runs."
            "runs."
        ),
        columns=("task", *columns),
        rows=rows,
    )


def _list_columns(
    edition: Edition, published: Errors, runs: Runs, baselines: Mapping[str, Errors]
) -> dict[str, Errors]:
    """Errors by task: published, of each network over its seeds, of simple ways and the papers."""
    columns = {PUBLISHED: published}
    for name, seeds in runs.items():
        by_task = {task: [errors[task] for errors in seeds.values()] for task in published}
        columns[f"{name}, mean"] = {t: statistics.fmean(values) for t, values in by_task.items()}
        if len(seeds) > 1:
            spread = {task: statistics.pstdev(values) for task, values in by_task.items()}
            columns[f"{name}, spread"] = spread
    columns |= baselines
    for name, reported in REPORTED[edition].items():
        columns[name] = {task: reported[task - 1] for task in published}
    return columns


def _tabulate_networks(runs: Runs) -> Table:
    means = {name: _list_means(seeds) for name, seeds in runs.items()}
    return Table(
        title="Networks",
        caption="Mean error over the tasks in percent, and its variation over seeds.",
        columns=(
            "network",
            "mean error",
            "standard deviation over seeds",
            "lowest",
            "highest",
            "seeds",
        ),
        rows=[
            (name, statistics.fmean(of), statistics.pstdev(of), min(of), max(of), len(of))
            for name, of in means.items()
        ],
    )


def _write_predictions(
    ctx: StageContext, model: Any, test: pd.DataFrame, probabilities: Any, right: Any
) -> None:
    answers = np.array(model.get_layer("vocabulary").answers)
    frame = test[["id", "task", "question", "answer"]].assign(
        predicted=answers[probabilities.argmax(axis=1)],
        confidence=probabilities.max(axis=1),
        right=right,
    )
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)


def _draw_errors(figures: Figures, published: Errors, baselines: Mapping[str, Errors]) -> None:
    means = {name: _mean(errors) for name, errors in baselines.items()}
    plot_bars(
        {**means, "the network": _mean(published)},
        figures.add("errors.png", "Comparison with baselines", "Mean over the tasks."),
        label="wrong answers to test questions, %",
        highlight=["the network"],
    )


def _draw_attention(
    figures: Figures, model: Any, test: pd.DataFrame, found: dict[str, Any], right: Any
) -> None:
    confidence, tasks = found["answer"].max(axis=1), test["task"].to_numpy()
    kinds = {
        "right": ("Correct answers", np.flatnonzero(right)),
        "wrong": ("Wrong answers", np.flatnonzero(~right)),
    }
    for kind, (title, rows) in kinds.items():
        # Spread over the tasks, and of each the one that the network is surest of.
        surest = rows[np.argsort(-confidence[rows], kind="stable")]
        _, firsts = np.unique(tasks[surest], return_index=True)
        chosen = list(dict.fromkeys([*surest[np.sort(firsts)], *surest]))[:SHOWN]
        for number, row in enumerate(chosen):
            path = figures.add(f"{kind}_{number}.png", title, ATTENTION)
            draw_attention(test.iloc[row], model, found, int(row), path)


def _note(ctx: StageContext, training: int, test: int) -> list[str]:
    notes = [
        f"{training:,} training questions, of which the last {ctx.config.validation_share:.0%} of "
        f"the stories were used to choose the published network, and {test:,} test questions that "
        "were not used in training.",
        "An answer of several words (lists, paths) is a single class, as in the papers.",
    ]
    if ctx.config.edition == "en-10k" and set(ONLY_EN) & set(ctx.config.tasks):
        notes.append(
            "Task 3 was trained on the 1,000 questions of en: no original copy of its 10,000 "
            "questions is known, so its result does not belong to en-10k."
        )
    if ctx.config.forget_answered:
        notes.append(
            "The story is forgotten after every question, as in the chapter, so most questions "
            "cannot be answered from the remaining sentences."
        )
    return notes
