"""How high the dreams have climbed, how long a step takes, and what plain ascent reaches."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.engine.inference import load_model
from regrow.engine.store import write_json
from regrow.models.deep_dream.dream import dream, prepare
from regrow.models.deep_dream.objective import Objective, load_objectives
from regrow.models.deep_dream.score import measure
from regrow.vision.canvas import save_picture, to_bytes
from regrow.vision.decoding import Array
from regrow.vision.gallery import open_gallery
from regrow.vision.manifest import read_manifest
from regrow.vision.previews import compare

if TYPE_CHECKING:
    from regrow.engine.spec import StageContext
    from regrow.models.deep_dream.spec import DeepDreamConfig

# Small enough to be made again each time: seconds on any machine.
REFERENCE_SIDE, REFERENCE_STEPS = 128, 10


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every picture beside its photo and beside noise of the same strength.

    Writes `evaluation.json`, `predictions.parquet` (picture, objective before and after) and the
    figures: each picture beside its photo, its contact sheet, the zoom.
    """
    import pandas as pd

    config: DeepDreamConfig = ctx.config
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    objectives = load_objectives(config, table)
    photos = {row.sha256: prepare(row.read(), config.size) for row in read_manifest(table, "photo")}
    gallery = open_gallery(load_model(train.file("model.keras")))
    history = json.loads(train.file("history.json").read_text())
    rows, figures = [], []
    for (label, pixels), run in zip(gallery, history, strict=True):
        name, photo = run["run"].rpartition("/")[0], photos[label["sha256"]]
        rows.append(_measure(name, objectives[label["objective"]], photo, pixels, run, config))
        figures += _draw(ctx, name, photo, pixels)
        ctx.progress("measuring", len(rows), len(gallery))
    frame = pd.DataFrame(rows)
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)
    if "zoom.webp" in train.manifest.files:
        figures.append(_copy(ctx, "zoom.webp", "zoom.webp", "Zoom", "On into the first picture."))
    reference = _run_reference(next(iter(objectives.values())), next(iter(photos.values())), config)
    evaluation = {
        "headline": _headline(frame),
        "metrics": {
            "objective": float(frame["objective"].mean()),
            "objective_of_photo": float(frame["objective of photo"].mean()),
            "seconds_per_step": float(frame["seconds a step"].mean()),
            "reference_objective": reference["objective"],
            "reference_seconds_per_step": reference["seconds_per_step"],
        },
        "tables": [_table(frame), _table_reference(reference)],
        "figures": figures,
        "notes": _note(config),
    }
    write_json(ctx.out / "evaluation.json", evaluation)
    return {"metrics": evaluation["metrics"], "pictures": len(frame)}


def _measure(
    name: str,
    climb: Objective,
    photo: Array,
    pixels: Array,
    run: dict[str, Any],
    config: DeepDreamConfig,
) -> dict[str, Any]:
    change = float(np.sqrt(np.mean(np.square(pixels.astype("float64") - photo))))
    noise = np.random.default_rng(config.seed).normal(scale=change, size=photo.shape)
    return {
        "picture": name,
        "objective": measure(climb, pixels, config),
        "objective of photo": measure(climb, photo, config),
        "objective of as much noise": measure(climb, to_bytes(photo + noise), config),
        "change": change,
        "steps": run["steps"],
        "seconds a step": run["seconds"] / run["steps"],
    }


def _run_reference(climb: Objective, photo: Array, config: DeepDreamConfig) -> dict[str, Any]:
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
        "photo": measure(climb, small, plain),
        "objective": measure(climb, to_bytes(result.pixels), plain),
        "seconds_per_step": (time.perf_counter() - started) / REFERENCE_STEPS,
    }


def _headline(frame: Any) -> dict[str, Any]:
    return {
        "metric": "objective",
        "label": "mean activation that was reached",
        "unit": "",
        "direction": "maximize",
        "value": float(frame["objective"].mean()),
        "spread": 0.0,
        "seeds": 1,
        "baseline": {"name": "the photo", "value": float(frame["objective of photo"].mean())},
    }


def _table(frame: Any) -> dict[str, Any]:
    return {
        "title": "Pictures",
        "caption": (
            "The objective of each picture, of its photo, and of the photo with as much noise as "
            "the dream has changed it (root mean square, in grey levels); steps and their time."
        ),
        "columns": list(frame.columns),
        "rows": frame.to_numpy().tolist(),
        "best_by": None,
    }


def _table_reference(reference: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": "Reference run",
        "caption": (
            f"Plain ascent on the first photo at {REFERENCE_SIDE} pixels, {REFERENCE_STEPS} steps, "
            "seed 0: to compare machines and versions by."
        ),
        "columns": ["objective of photo", "objective reached", "seconds a step"],
        "rows": [[reference["photo"], reference["objective"], reference["seconds_per_step"]]],
        "best_by": None,
    }


def _draw(ctx: StageContext, name: str, photo: Array, pixels: Array) -> list[dict[str, str]]:
    before = "the photo" if ctx.config.start == "photo" else "the photo, whose size it has"
    save_picture(
        compare([(before, to_bytes(photo)), ("the dream", pixels)]),
        ctx.out / "figures" / f"{name}.jpg",
    )
    return [
        {"file": f"figures/{name}.jpg", "title": name, "caption": "Before and after."},
        _copy(
            ctx,
            f"sheets/{name}.jpg",
            f"{name}-sheet.jpg",
            f"{name}: contact sheet",
            "Previews on the way, through the octaves from coarse to fine.",
        ),
    ]


def _copy(ctx: StageContext, source: str, name: str, title: str, caption: str) -> dict[str, str]:
    path = ctx.out / "figures" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(ctx.inputs["train"].file(source).read_bytes())
    return {"file": f"figures/{name}", "title": title, "caption": caption}


def _note(config: DeepDreamConfig) -> list[str]:
    random = (
        [
            "The backbone's weights are seeded random numbers, as the settings ask for: it has "
            "never seen a picture, and what grows are textures without meaning."
        ]
        if config.weights == "random"
        else []
    )
    return [
        *random,
        "The gate looks at the objective that the finished pictures reach, never at taste.",
        "The curve jumps where an octave begins: the objective is measured in the size of each.",
    ]
