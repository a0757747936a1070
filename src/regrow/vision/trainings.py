"""What the train stages of pictures have in common, whatever makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.report.history import History, TrainingRecord
from regrow.vision.canvas import save_picture
from regrow.vision.decoding import Array
from regrow.vision.gallery import save_gallery
from regrow.vision.manifest import profile_manifest
from regrow.vision.previews import Previews

if TYPE_CHECKING:
    from regrow.store.context import StageContext


def follow(
    ctx: StageContext, name: str, doing: str
) -> tuple[Previews, Callable[[int, int, Array], None]]:
    """The previews of a picture, and what is called after each step: it shows them and progress."""
    previews = Previews(ctx.scratch / name / "previews", ctx.config.preview_every, name)

    def look(done: int, total: int, pixels: Array) -> None:
        previews.offer(done, total, pixels)
        ctx.progress(f"{doing} {name}", done, total)

    return previews, look


def save_with_sheet(
    ctx: StageContext, name: str, previews: Previews, before: Array, after: Array
) -> None:
    """Writes a finished picture, (height, width, 3), uint8, and the contact sheet of its making."""
    save_picture(after, ctx.out / "pictures" / f"{name}.png")
    save_picture(previews.draw_sheet(before, after), ctx.out / "sheets" / f"{name}.jpg")


def record_steps(
    run: str, curves: Mapping[str, Sequence[float]], seconds: float, resumed_from: int
) -> TrainingRecord:
    """The record of a picture's making, of which the curves have a value for each step."""
    return TrainingRecord(
        curves,
        run,
        per="step",
        steps=max(map(len, curves.values())),
        seconds=round(seconds, 3),
        resumed_from=resumed_from,
    )


def save_pictures(
    ctx: StageContext,
    pictures: Sequence[tuple[dict[str, Any], Array]],
    history: History,
    table: Path,
    *,
    best: TrainingRecord,
) -> dict[str, Any]:
    """Writes `model.keras` (the pictures, see `Gallery`), `history.json` and `profile.json`.

    Args:
        pictures: each with its label.
        table: the manifest that they were made from.
        best: whose run counts as the published one.

    Returns:
        Facts: pictures, published_run, runs, steps, seconds, weights.
    """
    save_gallery(pictures, ctx.out)
    history.write(ctx.out)
    (ctx.out / "profile.json").write_text(json.dumps(profile_manifest(table)))
    return {
        "pictures": len(pictures),
        "published_run": best.run,
        "runs": len(history.runs),
        "steps": sum(run.steps or 0 for run in history.runs),
        "seconds": history.seconds,
        "weights": ctx.config.weights,
    }
