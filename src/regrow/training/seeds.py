"""The trainings of a train stage: each can be resumed, all are kept, the best one is published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.files import write_json
from regrow.base.progress import note
from regrow.report.history import PASSING, History, TrainingRecord

if TYPE_CHECKING:
    import keras

    from regrow.store.context import StageContext
    from regrow.training.fit import FitResult

Enough = Callable[[TrainingRecord], bool]
Training = Callable[[Path], "tuple[keras.Model, TrainingRecord | Mapping[str, Any]]"]
"""Called with a folder for checkpoints that outlives a kill; returns the model and its record.

`record_of` makes a record; as plain JSON it has the fields of `TrainingRecord`. The training with
the smallest `val_loss` is the best.
"""


def run_trainings(
    ctx: StageContext,
    trainings: Mapping[str, Training],
    *,
    published: Collection[str] = (),
    enough: Enough | None = None,
) -> dict[str, Any]:
    """Does all trainings that an earlier, killed process has not finished.

    Writes `runs/GROUP-seed-N.keras` for each, `history.json`, and the best one as `model.keras`.
    Their bytes do not depend on times, or on whether a training was interrupted.

    Args:
        ctx: the stage's context.
        trainings: by label, "GROUP/seed-N".
        published: the groups whose best is published; by default the first training's.
        enough: tells from a record whether the groups after its own can be left out.

    Returns:
        Facts: published_run, runs, parameters, seconds.
    """
    from regrow.training.inference import load_model

    runs = _train_all(ctx, trainings, enough)
    groups = published or [runs[0].group]
    best = min((run for run in runs if run.group in groups), key=lambda run: run.loss)
    shutil.copyfile(ctx.out / best.path, ctx.out / "model.keras")
    # Repeated, the same training is the same result.
    history = History(runs)
    history.write(ctx.out, omit=PASSING)
    return {
        "parameters": load_model(ctx.out / best.path).count_params(),
        "published_run": best.run,
        "runs": len(runs),
        "seconds": history.seconds,
    }


def _train_all(
    ctx: StageContext, trainings: Mapping[str, Training], enough: Enough | None
) -> list[TrainingRecord]:
    """The records of the trainings; their models are copied to the result."""
    (ctx.out / "runs").mkdir()
    runs: list[TrainingRecord] = []
    for number, (label, training) in enumerate(trainings.items()):
        is_next_group = bool(runs) and label.rpartition("/")[0] != runs[-1].group
        if enough and is_next_group and any(map(enough, runs)):
            break
        ctx.progress("trainings", number, len(trainings))
        kept = ctx.scratch / label.replace("/", "-")
        runs.append(replace(_train_once(kept, training), run=label))
        shutil.copyfile(kept / "model.keras", ctx.out / runs[-1].path)
    ctx.progress("trainings", len(trainings), len(trainings))
    return runs


def describe_published(
    ctx: StageContext, inputs: Any, profile: Mapping[str, Any], *, model: keras.Model | None = None
) -> None:
    """Writes what is kept beside `model.keras`: `example.npz` and `profile.json`.

    Args:
        inputs: some inputs, which are kept with what the model answers.
        profile: of the training data; see `profile_table`.
        model: the published model, if it has been loaded already.
    """
    from regrow.training.inference import load_model, save_example

    if model is None:
        model = load_model(ctx.out / "model.keras")
    save_example(ctx.out / "example.npz", model, inputs)
    (ctx.out / "profile.json").write_text(json.dumps(profile))


def _train_once(kept: Path, training: Training) -> TrainingRecord:
    """The record of a training, which is done unless an earlier process has finished it."""
    import keras

    from regrow.training.determinism import release_seed
    from regrow.training.saving import save_model

    record = kept / "record.json"
    if not record.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        keras.utils.clear_session()
        try:
            model, found = training(kept)
        finally:
            release_seed()
        _forget_optimizers(model)
        save_model(model, kept / "model.keras")
        if not isinstance(found, TrainingRecord):
            found = TrainingRecord.from_json(found, f"training {kept.name}")
        write_json(record, found.to_json())  # last, since it marks the training as finished
    else:
        note(f"training {kept.name} was already finished by an earlier, interrupted run")
    return TrainingRecord.from_json(json.loads(record.read_text(encoding="utf-8")), str(record))


def _forget_optimizers(model: keras.Model) -> None:
    """Makes a model one that is saved without its optimizer, and so are the models within it.

    It predicts and is not trained any further; PyTorch's optimizers are not known elsewhere.
    """
    import keras

    for part in model._flatten_layers():
        if isinstance(part, keras.Model):
            part.compiled = False


def record_of(
    shown: FitResult,
    phases: Mapping[str, FitResult] | None = None,
    /,
    *,
    val_loss: float | None = None,
    **more: Any,
) -> TrainingRecord:
    """The record of a training.

    Args:
        shown: the part whose curves are shown.
        phases: all parts of the training, by name; by default `shown` is the only one.
        val_loss: the loss that counts; by default the last one of `shown`.
        more: what else is kept, as JSON.
    """
    results = list(phases.values()) if phases else [shown]
    return TrainingRecord(
        shown.curves,
        val_loss=shown.curves["val_loss"][-1] if val_loss is None else val_loss,
        seconds=round(sum(result.seconds for result in results), 3),
        steps=sum(result.steps for result in results),
        resumed_from={name: result.resumed_from for name, result in phases.items()}
        if phases
        else shown.resumed_from,
        more=more,
    )


def load_runs(train: Path, group: str) -> dict[str, keras.Model]:
    """The trained models of one group, by "seed-N", from a train stage's folder."""
    from regrow.training.inference import load_model

    paths = sorted(
        (train / "runs").glob(f"{group}-seed-*.keras"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    return {path.stem.removeprefix(f"{group}-"): load_model(path) for path in paths}
