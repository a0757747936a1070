"""Trials of a sweep: runs that end when they are trained, and are judged by validation data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from regrow.base.errors import UserError
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.stages import Stage, StageRef
from regrow.report.history import FILE, History, TrainingRecord

LOSS = "val_loss"


def trial_facts(pipeline: Pipeline, refs: Mapping[Stage, StageRef]) -> dict[str, Any]:
    """What a trial came to on the validation data, from the records of its trainings.

    Raises:
        UserError: the model's training has no validation loss.
    """
    train = pipeline.entry(refs["train"])
    history = History.read(train.file(FILE))
    shown = history.find(train.facts.get("published_run", ""))
    if shown is None or shown.val_loss is None:
        raise UserError(
            f"the trainings of {pipeline.spec.name} recorded no validation loss to rank them",
            where="history.json of the stage train",
            received=", ".join(history.names) or "no training",
            expected="val_loss, as regrow.run_trainings records it",
        )
    runs = [run for run in history.runs if run.group == shown.group and run.val_loss is not None]
    return {
        "validation": average_figures(runs),
        "trainings": len(runs),
        "curves": shown.curves,
        "clean": refs["clean"].digest,
    }


def average_figures(runs: Sequence[TrainingRecord]) -> dict[str, float]:
    """The validation figures of several trainings, each the mean over them.

    The loss is the one by which the best of them is chosen, other figures are of the last epoch.
    """
    names = {name for run in runs for name in run.curves if name.startswith("val_")}
    figures = {}
    for name in sorted({*names, LOSS}):
        values = [
            run.loss if name == LOSS else run.curves.get(name, [math.nan])[-1] for run in runs
        ]
        figures[name] = float(sum(values) / len(values))
    return figures
