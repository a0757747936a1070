"""How near the pictures have come to content and style, and how long a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from regrow.models.style_transfer.losses import StyleLoss, read_masks
from regrow.models.style_transfer.score import measure
from regrow.models.style_transfer.transfer import transfer
from regrow.report.evaluation import Comparison, Evaluation, Figures
from regrow.vision.canvas import fit_size, resize, to_bytes
from regrow.vision.decoding import MIN_SIDE
from regrow.vision.manifest import find_weights, read_manifest
from regrow.vision.results import (
    add_result,
    note_weights,
    open_results,
    tabulate_pictures,
    tabulate_reference,
)

if TYPE_CHECKING:
    import pandas as pd

    from regrow.models.style_transfer.spec import StyleTransferConfig
    from regrow.store.context import StageContext
    from regrow.vision.decoding import Array

# Small enough to be made again each time: seconds on any machine.
REFERENCE_SIDE, REFERENCE_STEPS = 96, 10
PHOTO = "the photo"
TERMS = ("loss", "content", "style", "variation")
PICTURES = (
    "Content and style are relative errors (1: as large as for an empty picture), the variation "
    "is the mean squared difference of neighbouring pixels, and the loss is their weighted sum."
)
REFERENCE = f"Adam on the first photo at {REFERENCE_SIDE} pixels, {REFERENCE_STEPS} steps, seed 0"
KEPT_COLOURS = (
    "The colours of the photo were restored after the optimisation; the loss is that of the "
    "picture with these colours."
)
NOTES = (
    "The gate compares the loss of the finished pictures, not their artistic quality.",
    "The curves jump at the start of each scale, because the loss is measured at the size of the "
    "scale.",
)


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every picture beside its photo and beside its style.

    Writes `evaluation.json`, `predictions.parquet` (picture, loss and terms) and the figures: each
    picture beside photo and style, and its contact sheet.
    """
    config: StyleTransferConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    loss = StyleLoss(config, find_weights(table))
    styles = [row.read() for row in read_manifest(table, "style")]
    masks = read_masks(table)
    photos = {row.sha256: row.read() for row in read_manifest(table, "photo")}
    figures = Figures(ctx.out)
    measure_one = partial(measure, loss, styles=styles, masks=masks)
    frame = _measure_all(ctx, measure_one, styles, photos, figures)
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)
    reference = _run_reference(loss, next(iter(photos.values())), styles, masks)
    metrics = _summarise(frame, reference)
    comparison = Comparison("the picture", [metrics], {PHOTO: {"loss": metrics["loss_of_photo"]}})
    return Evaluation(
        headline=comparison.headline("loss", "loss reached", simplest=PHOTO),
        metrics=metrics,
        tables=(tabulate_pictures(frame, PICTURES), tabulate_reference(REFERENCE, reference)),
        figures=figures,
        notes=(
            *note_weights(config.weights),
            *([KEPT_COLOURS] if config.keep_colour else []),
            *NOTES,
        ),
    ).write(ctx.out, pictures=len(frame) // 3)


def _measure_all(
    ctx: StageContext,
    measure_one: Callable[..., dict[str, float]],
    styles: list[Array],
    photos: dict[str, Array],
    figures: Figures,
) -> pd.DataFrame:
    """Three rows a picture: it, its photo and the first style; adds the pictures to `figures`."""
    import pandas as pd

    train, rows = ctx.inputs["train"], []
    for label, pixels, run in open_results(train):
        content, name, size = photos[label["sha256"]], label["photo"], pixels.shape[:2]
        photo, style = (to_bytes(resize(picture, size)) for picture in (content, styles[0]))
        rows.append({"picture": name, **measure_one(pixels, content)})
        rows[-1] |= {"steps": run.steps, "seconds per step": run.seconds_per_step}
        rows.append({"picture": f"{name}, original", **measure_one(photo, content)})
        rows.append({"picture": "the first style, unchanged", **measure_one(style, content)})
        shown = [(PHOTO, photo), ("the picture", pixels)]
        shown += [(f"style {n}", style) for n, style in enumerate(styles, 1)]
        caption = "Content, result and style."
        add_result(figures, train, name, shown, caption=caption, sizes="scales")
        ctx.progress("measuring", len(rows) // 3, len(photos))
    return pd.DataFrame(rows)


def _summarise(frame: pd.DataFrame, reference: dict[str, float]) -> dict[str, float]:
    made, before = frame.iloc[::3], frame.iloc[1::3]
    return {
        **{name: float(made[name].mean()) for name in TERMS},
        "loss_of_photo": float(before["loss"].mean()),
        "seconds_per_step": float(made["seconds per step"].mean()),
        "reference_loss": reference["loss reached"],
        "reference_seconds_per_step": reference["seconds per step"],
    }


def _run_reference(
    loss: StyleLoss, content: Array, styles: list[Array], masks: list[Array]
) -> dict[str, float]:
    """One scale, a fixed seed and a small size: the same figures wherever it is run."""
    plain = loss.config.model_copy(
        update={
            "size": REFERENCE_SIDE,
            "scales": 1,
            "steps": REFERENCE_STEPS,
            "optimizer": "adam",
            "learning_rate": 4.0,
            "start": "content",
            "keep_colour": False,
            "seed": 0,
        }
    )
    small = to_bytes(resize(content, fit_size(content.shape, REFERENCE_SIDE, shortest=MIN_SIDE)))
    before = measure(loss, small, content, styles, masks)["loss"]  # compiles
    started = time.perf_counter()
    result = transfer(loss, content, styles, masks, plan=plain)
    seconds = time.perf_counter() - started
    reached = measure(loss, result.pixels, content, styles, masks)["loss"]
    return {
        "loss of photo": before,
        "loss reached": reached,
        "seconds per step": seconds / REFERENCE_STEPS,
    }
