"""How well question-answering does on bAbI's test files, beside simple ways and the papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.engine.inference import load_model
from regrow.engine.plots import plot_bars
from regrow.engine.store import write_json
from regrow.engine.trainings import load_runs
from regrow.models.question_answering.baselines import measure_baselines
from regrow.models.question_answering.figures import draw_attention
from regrow.models.question_answering.paper import REPORTED
from regrow.models.question_answering.score import (
    FAILED_PERCENT,
    answer_questions,
    count_errors,
    find_right,
)
from regrow.models.question_answering.table import read_questions
from regrow.models.question_answering.tasks import ONLY_EN, TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from regrow.engine.spec import StageContext

Errors = dict[int, float]
PUBLISHED = "published"
# A figure of each kind is enough to see what the network looks at.
SHOWN = 3


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every training, the published network and simple ways on the same test questions.

    Writes `evaluation.json`, `predictions.parquet` (id, task, question, answer, predicted,
    confidence, right) and the figures.
    """
    config = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    test = read_questions(table, split="test", forget=config.forget_answered)
    runs: dict[str, dict[str, Errors]] = {}
    for name in config.networks:
        if models := load_runs(ctx.inputs["train"].path, name):
            runs[name] = {seed: _measure(model, test) for seed, model in models.items()}
    model = load_model(ctx.inputs["train"].file("model.keras"))
    found = answer_questions(model, test)
    right = find_right(model, test, found["answer"])
    published = count_errors(test, right)
    ctx.progress("baselines", 0, 1)
    training = read_questions(table, split="train", forget=config.forget_answered)
    baselines = measure_baselines(training, test)
    ctx.progress("baselines", 1, 1)
    _write_predictions(ctx, model, test, found["answer"], right)
    figures = _draw(ctx, model, test, found, right, published, baselines)
    evaluation = {
        "headline": _headline(runs, published, baselines),
        "metrics": {
            "error_percent": _mean(published),
            "failed_tasks": float(sum(value > FAILED_PERCENT for value in published.values())),
            **{
                f"mean_error_percent_{name}": float(np.mean([_mean(of) for of in seeds.values()]))
                for name, seeds in runs.items()
            },
            **{f"error_percent_qa{task:02}": value for task, value in published.items()},
        },
        "tables": [
            _table_by_task(config, published, runs, baselines),
            _table_by_training(runs),
        ],
        "figures": figures,
        "notes": _notes(ctx, len(training), len(test)),
    }
    write_json(ctx.out / "evaluation.json", evaluation)
    return {"metrics": evaluation["metrics"], "test_questions": len(test)}


def _measure(model: Any, test: pd.DataFrame) -> Errors:
    return count_errors(test, find_right(model, test, answer_questions(model, test)["answer"]))


def _mean(errors: Mapping[int, float]) -> float:
    return float(np.mean(list(errors.values())))


def _headline(
    runs: Mapping[str, Mapping[str, Errors]], published: Errors, baselines: Mapping[str, Errors]
) -> dict[str, Any]:
    best = min(baselines, key=lambda name: _mean(baselines[name]))
    means = [_mean(errors) for seeds in runs.values() for errors in seeds.values()]
    return {
        "metric": "error_percent",
        "label": "test questions answered wrongly",
        "unit": "%",
        "direction": "minimize",
        "value": _mean(published),
        "spread": float(np.std(means)),
        "seeds": len(means),
        "baseline": {"name": best, "value": _mean(baselines[best])},
    }


def _table_by_task(
    config: Any,
    published: Errors,
    runs: Mapping[str, Mapping[str, Errors]],
    baselines: Mapping[str, Errors],
) -> dict[str, Any]:
    columns: dict[str, Mapping[int, float]] = {PUBLISHED: published}
    for name, seeds in runs.items():
        columns[f"{name}, mean"] = {
            task: float(np.mean([errors[task] for errors in seeds.values()])) for task in published
        }
        if len(seeds) > 1:
            columns[f"{name}, spread"] = {
                task: float(np.std([errors[task] for errors in seeds.values()]))
                for task in published
            }
    columns |= baselines
    for name, errors in REPORTED[config.edition].items():
        columns[name] = {task: errors[task - 1] for task in published}
    rows: list[list[Any]] = [
        [f"{task} {TASKS[task]}", *(column[task] for column in columns.values())]
        for task in published
    ]
    if len(rows) > 1:
        counts = [[value > FAILED_PERCENT for value in of.values()] for of in columns.values()]
        spreads = [name.endswith("spread") for name in columns]
        rows.append(["mean", *(_mean(column) for column in columns.values())])
        failed = (None if spread else sum(c) for c, spread in zip(counts, spreads, strict=True))
        rows.append(["failed", *failed])
    return {
        "title": "Errors by task",
        "caption": (
            "Percent of a task's test questions that are answered wrongly; failed: tasks with more "
            f"than {FAILED_PERCENT:g} %. The papers' figures are for their own training."
        ),
        "columns": ["task", *columns],
        "rows": rows,
    }


def _table_by_training(runs: Mapping[str, Mapping[str, Errors]]) -> dict[str, Any]:
    return {
        "title": "Networks",
        "caption": "Mean over the tasks of the errors in percent, and how that differs by seed.",
        "columns": ["network", "mean of errors", "spread over seeds", "lowest", "highest", "seeds"],
        "rows": [
            [name, np.mean(means), np.std(means), min(means), max(means), len(means)]
            for name, means in (
                (name, [_mean(errors) for errors in seeds.values()]) for name, seeds in runs.items()
            )
        ],
    }


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


def _draw(
    ctx: StageContext,
    model: Any,
    test: pd.DataFrame,
    found: dict[str, Any],
    right: Any,
    published: Errors,
    baselines: Mapping[str, Errors],
) -> list[dict[str, str]]:
    folder = ctx.out / "figures"
    means = {name: _mean(errors) for name, errors in baselines.items()}
    means["the network"] = _mean(published)
    plot_bars(
        means,
        folder / "errors.png",
        label="test questions answered wrongly, %",
        direction="minimize",
        highlight=["the network"],
    )
    figures = [
        {
            "file": "figures/errors.png",
            "title": "Beside simple ways",
            "caption": "Mean over the tasks.",
        }
    ]
    if "attention" not in found:
        return figures
    confidence = found["answer"].max(axis=1)
    kinds = {
        "right": ("Right answers", np.flatnonzero(right)),
        "wrong": ("Wrong answers", np.flatnonzero(~right)),
    }
    for kind, (title, rows) in kinds.items():
        # Spread over the tasks, and of each the one that the network is surest of.
        surest = rows[np.argsort(-confidence[rows], kind="stable")]
        _, firsts = np.unique(test["task"].to_numpy()[surest], return_index=True)
        chosen = list(dict.fromkeys([*surest[np.sort(firsts)], *surest]))[:SHOWN]
        for number, row in enumerate(chosen):
            name = f"figures/{kind}_{number}.png"
            draw_attention(test.iloc[row], model, found, int(row), ctx.out / name)
            caption = (
                "How much each sentence counts for the answer, by layer or hop; "
                "a dot marks the supporting facts."
            )
            figures.append({"file": name, "title": title, "caption": caption})
    return figures


def _notes(ctx: StageContext, training: int, test: int) -> list[str]:
    notes = [
        f"{training:,} training questions, of which the last {ctx.config.validation_share:.0%} of "
        f"stories chose the published network, and {test:,} test questions that had no part in it.",
        "An answer of several words (lists, paths) is one class, as in the papers.",
    ]
    if ctx.config.edition == "en-10k" and set(ONLY_EN) & set(ctx.config.tasks):
        notes.append(
            "Task 3 was trained on the 1,000 questions of en: no original copy of its 10,000 is "
            "known, so its figure is none of en-10k."
        )
    if ctx.config.forget_answered:
        notes.append(
            "The story is forgotten at every question, as in the chapter: then most questions "
            "cannot be answered from what is left."
        )
    return notes
