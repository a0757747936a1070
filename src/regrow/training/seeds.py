"""The trainings of a train stage: each can be resumed, all are kept, the best one is published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.files import write_json
from regrow.base.progress import note

if TYPE_CHECKING:
    import keras

    from regrow.store.context import StageContext
    from regrow.training.fit import FitResult

# Of a training's record, what is not in the result: repeated, the same training is the same result.
PASSING = ("seconds", "resumed_from")

Enough = Callable[[Mapping[str, Any]], bool]
Training = Callable[[Path], "tuple[keras.Model, dict[str, Any]]"]
"""Called with a folder for checkpoints that outlives a kill; returns the model and its record.

The record is JSON: "curves" (values per epoch by name), "val_loss" (the training with the smallest
one is the best), "seconds", and what else is worth keeping: see `record_of`.
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

    (ctx.out / "runs").mkdir()
    history: list[dict[str, Any]] = []
    for number, (label, training) in enumerate(trainings.items()):
        is_next_group = bool(history) and _group(label) != _group(history[-1]["run"])
        if enough and is_next_group and any(enough(run) for run in history):
            break
        ctx.progress("trainings", number, len(trainings))
        kept = ctx.scratch / label.replace("/", "-")
        history.append({"run": label, **_train_once(kept, training)})
        shutil.copyfile(kept / "model.keras", _model_path(ctx, label))
    ctx.progress("trainings", len(trainings), len(trainings))
    groups = published or [_group(next(iter(trainings)))]
    best = min(
        (run for run in history if _group(run["run"]) in groups),
        key=lambda run: run["val_loss"],
    )
    chosen = _model_path(ctx, best["run"])
    shutil.copyfile(chosen, ctx.out / "model.keras")
    kept_facts = [{k: v for k, v in run.items() if k not in PASSING} for run in history]
    write_json(ctx.out / "history.json", kept_facts)
    return {
        "parameters": load_model(chosen).count_params(),
        "published_run": best["run"],
        "runs": len(history),
        "seconds": round(sum(run["seconds"] for run in history), 2),
    }


def _train_once(kept: Path, training: Training) -> dict[str, Any]:
    """The record of a training, which is done unless an earlier process has finished it."""
    import keras

    from regrow.training.determinism import release_seed
    from regrow.training.saving import save_model

    record = kept / "record.json"
    if not record.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        keras.utils.clear_session()
        try:
            model, facts = training(kept)
        finally:
            release_seed()
        _forget_optimizers(model)
        save_model(model, kept / "model.keras")
        write_json(record, facts)  # last, since it marks the training as finished
    else:
        note(f"training {kept.name} was already finished by an earlier, interrupted run")
    found: dict[str, Any] = json.loads(record.read_text())
    return found


def _forget_optimizers(model: keras.Model) -> None:
    """Makes a model one that is saved without its optimizer, and so are the models within it.

    It predicts and is not trained any further; PyTorch's optimizers are not known elsewhere.
    """
    import keras

    for part in model._flatten_layers():
        if isinstance(part, keras.Model):
            part.compiled = False


def _model_path(ctx: StageContext, label: str) -> Path:
    return ctx.out / "runs" / f"{label.replace('/', '-')}.keras"


def _group(label: str) -> str:
    return label.rpartition("/")[0]


def record_of(
    shown: FitResult, phases: Mapping[str, FitResult] | None = None, /, **more: Any
) -> dict[str, Any]:
    """The record of a training.

    Args:
        shown: the part whose curves are shown, and whose last "val_loss" counts.
        phases: all parts of the training, by name; by default `shown` is the only one.
        more: what else is kept, as JSON.
    """
    results = list(phases.values()) if phases else [shown]
    return {
        "curves": shown.curves,
        "val_loss": shown.curves["val_loss"][-1],
        **more,
        "seconds": round(sum(result.seconds for result in results), 3),
        "steps": sum(result.steps for result in results),
        "resumed_from": {name: result.resumed_from for name, result in phases.items()}
        if phases
        else shown.resumed_from,
    }


def load_runs(train: Path, group: str) -> dict[str, keras.Model]:
    """The trained models of one group, by "seed-N", from a train stage's folder."""
    from regrow.training.inference import load_model

    paths = sorted(
        (train / "runs").glob(f"{group}-seed-*.keras"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    return {path.stem.removeprefix(f"{group}-"): load_model(path) for path in paths}
