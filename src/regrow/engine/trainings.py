"""The trainings of a train stage: each restartable, all kept, the best on validation published."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.engine.store import write_json

if TYPE_CHECKING:
    import keras

    from regrow.engine.spec import StageContext
    from regrow.engine.training import FitResult

Enough = Callable[[Mapping[str, Any]], bool]
Training = Callable[[Path], "tuple[keras.Model, dict[str, Any]]"]
"""Called with a folder for checkpoints that outlives a kill; returns the model and its record.

The record is JSON: "curves" (values per epoch by name), "val_loss" (what the best is chosen by,
the smaller the better), "seconds", and whatever else is worth keeping: see `record_of`.
"""


def run_trainings(
    ctx: StageContext,
    trainings: Mapping[str, Training],
    *,
    published: Collection[str] = (),
    enough: Enough | None = None,
) -> dict[str, Any]:
    """Does all trainings that an earlier, killed process has not done.

    Writes `runs/GROUP-seed-N.keras` for each, `history.json`, and `model.keras`, which is the best.

    Args:
        ctx: the stage's context.
        trainings: by label, "GROUP/seed-N".
        published: the groups whose best is published; by default the first training's.
        enough: says of a record whether groups after its own can be left out.

    Returns:
        Facts: published_run, runs, parameters, seconds.
    """
    import keras

    from regrow.engine.inference import load_model

    runs = ctx.out / "runs"
    runs.mkdir()
    history: list[dict[str, Any]] = []
    for label, training in trainings.items():
        is_next_group = bool(history) and _group(label) != _group(history[-1]["run"])
        if enough and is_next_group and any(enough(run) for run in history):
            break
        name = label.replace("/", "-")
        kept = ctx.scratch / name
        record = kept / "record.json"
        if not record.is_file():
            kept.mkdir(parents=True, exist_ok=True)
            keras.utils.clear_session()
            model, facts = training(kept)
            # Without compile state: the published model answers, it is not trained on.
            model.save(kept / "model.writing.keras")
            (kept / "model.writing.keras").replace(kept / "model.keras")
            write_json(record, facts)  # last: it says that this training is done
        (runs / f"{name}.keras").write_bytes((kept / "model.keras").read_bytes())
        history.append({"run": label, **json.loads(record.read_text())})
    groups = published or [_group(next(iter(trainings)))]
    best = min(
        (run for run in history if _group(run["run"]) in groups),
        key=lambda run: run["val_loss"],
    )
    chosen = runs / f"{best['run'].replace('/', '-')}.keras"
    (ctx.out / "model.keras").write_bytes(chosen.read_bytes())
    write_json(ctx.out / "history.json", history)
    return {
        "parameters": load_model(chosen).count_params(),
        "published_run": best["run"],
        "runs": len(history),
        "seconds": round(sum(run["seconds"] for run in history), 2),
    }


def _group(label: str) -> str:
    return label.rpartition("/")[0]


def record_of(
    shown: FitResult, phases: Mapping[str, FitResult] | None = None, /, **more: Any
) -> dict[str, Any]:
    """The record of a training.

    Args:
        shown: whose curves are the training's, and whose last "val_loss" it is chosen by.
        phases: by name, all that the training consists of; by default `shown` is all of it.
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
    from regrow.engine.inference import load_model

    paths = sorted(
        (train / "runs").glob(f"{group}-seed-*.keras"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    return {path.stem.removeprefix(f"{group}-"): load_model(path) for path in paths}
