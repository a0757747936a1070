"""How high the dreams have climbed, how long a step takes, and what plain ascent reaches."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.deep_dream.dream import dream, prepare
from regrow.models.deep_dream.objective import Objective, load_objectives
from regrow.models.deep_dream.score import measure
from regrow.report.evaluation import Comparison, Evaluation, Figures
from regrow.vision.canvas import to_bytes
from regrow.vision.decoding import Array
from regrow.vision.manifest import read_manifest
from regrow.vision.results import (
    add_result,
    note_weights,
    open_results,
    tabulate_pictures,
    tabulate_reference,
)

if TYPE_CHECKING:
    import pandas as pd

    from regrow.models.deep_dream.spec import DeepDreamConfig
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext

# Small enough to be made again each time: seconds on any machine.
REFERENCE_SIDE, REFERENCE_STEPS = 128, 10
PHOTO = "the photo"
PICTURES = (
    "The objective of each picture, of its photo, and of the photo with noise of the same "
    "strength as the change (root mean square, in grey levels); number and duration of the "
    "steps."
)
REFERENCE = (
    f"Plain ascent on the first photo at {REFERENCE_SIDE} pixels, {REFERENCE_STEPS} steps, seed 0"
)
NOTES = (
    "The gate compares the objective of the finished pictures, not their appearance.",
    "The curve jumps at the start of each octave, because the objective is measured at the size "
    "of the octave.",
)


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every picture beside its photo and beside noise of the same strength.

    Writes `evaluation.json`, `predictions.parquet` (picture, objective before and after) and the
    figures: each picture beside its photo, its contact sheet, the zoom.
    """
    config: DeepDreamConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    objectives = load_objectives(config, table)
    photos = {row.sha256: prepare(row.read(), config.size) for row in read_manifest(table, "photo")}
    figures = Figures(ctx.out)
    frame = _measure_all(ctx, objectives, photos, figures)
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)
    reference = _run_reference(next(iter(objectives.values())), next(iter(photos.values())), config)
    metrics = _summarise(frame, reference)
    photo_score = {PHOTO: {"objective": metrics["objective_of_photo"]}}
    comparison = Comparison("the dream", [metrics], photo_score)
    return Evaluation(
        headline=comparison.headline(
            "objective", "mean activation reached", direction="maximize", simplest=PHOTO
        ),
        metrics=metrics,
        tables=(tabulate_pictures(frame, PICTURES), tabulate_reference(REFERENCE, reference)),
        figures=figures,
        notes=(*note_weights(config.weights), *NOTES),
    ).write(ctx.out, pictures=len(frame))


def _measure_all(
    ctx: StageContext, objectives: dict[str, Objective], photos: dict[str, Array], figures: Figures
) -> pd.DataFrame:
    """The figures of every picture, one a row; adds the pictures to `figures`."""
    import pandas as pd

    train, rows = ctx.inputs["train"], []
    before = PHOTO if ctx.config.start == "photo" else "the photo, which has the same size"
    for label, pixels, run in open_results(train):
        name, photo = run.group, photos[label["sha256"]]
        rows.append(_measure(name, objectives[label["objective"]], photo, pixels, run, ctx.config))
        shown = [(before, to_bytes(photo)), ("the dream", pixels)]
        add_result(figures, train, name, shown, caption="Before and after.", sizes="octaves")
        ctx.progress("measuring", len(rows), len(photos) * len(objectives))
    if "zoom.webp" in train.manifest.files:
        path = figures.add("zoom.webp", "Zoom", "Zoom into the first picture.")
        shutil.copyfile(train.file("zoom.webp"), path)
    return pd.DataFrame(rows)


def _measure(
    name: str,
    climb: Objective,
    photo: Array,
    pixels: Array,
    run: TrainingRecord,
    config: DeepDreamConfig,
) -> dict[str, Any]:
    change = float(np.sqrt(np.mean(np.square(pixels.astype("float64") - photo))))
    noise = np.random.default_rng(config.seed).normal(scale=change, size=photo.shape)
    return {
        "picture": name,
        "objective": measure(climb, pixels, config),
        "objective of photo": measure(climb, photo, config),
        "objective of noise": measure(climb, to_bytes(photo + noise), config),
        "change": change,
        "steps": run.steps,
        "seconds per step": run.seconds_per_step,
    }


def _run_reference(climb: Objective, photo: Array, config: DeepDreamConfig) -> dict[str, float]:
    """Plain ascent with a fixed seed at one small size: the same figures wherever it is run."""
    plain = config.model_copy(
        update={
            "steps": REFERENCE_STEPS,
            "octaves": 1,
            "jitter": 0,
            "smoothing": 0.0,
            "seed": 0,
            "start": "photo",
        }
    )
    small = prepare(to_bytes(photo), REFERENCE_SIDE)
    dream(climb, small, plain.model_copy(update={"steps": 1}))  # compiles
    started = time.perf_counter()
    result = dream(climb, small, plain)
    return {
        "objective of photo": measure(climb, small, plain),
        "objective reached": measure(climb, to_bytes(result.pixels), plain),
        "seconds per step": (time.perf_counter() - started) / REFERENCE_STEPS,
    }


def _summarise(frame: pd.DataFrame, reference: dict[str, float]) -> dict[str, float]:
    return {
        "objective": float(frame["objective"].mean()),
        "objective_of_photo": float(frame["objective of photo"].mean()),
        "seconds_per_step": float(frame["seconds per step"].mean()),
        "reference_objective": reference["objective reached"],
        "reference_seconds_per_step": reference["seconds per step"],
    }
