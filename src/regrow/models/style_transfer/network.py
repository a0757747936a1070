"""The train stage of style-transfer: the weights that it optimises are the pixels of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regrow.models.style_transfer.losses import StyleLoss, read_masks
from regrow.models.style_transfer.transfer import transfer
from regrow.report.history import History, TrainingRecord
from regrow.vision.canvas import fit_size, resize, to_bytes
from regrow.vision.choices import MAX_STYLE_SIZE
from regrow.vision.manifest import Row, check_sizes, find_weights, read_manifest
from regrow.vision.trainings import follow, record_steps, save_pictures, save_with_sheet

if TYPE_CHECKING:
    from regrow.models.style_transfer.spec import StyleTransferConfig
    from regrow.store.context import StageContext
    from regrow.vision.decoding import Array


def train(ctx: StageContext) -> dict[str, Any]:
    """Puts every photo of the manifest into the styles; a killed stage goes on at its checkpoint.

    Writes `model.keras` (the pictures, see `Gallery`), `pictures/`, `sheets/` and `history.json`.
    """
    config: StyleTransferConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    rows = read_manifest(table, "photo")
    style_rows = read_manifest(table, "style")
    check_sizes(ctx, rows, config.size, MAX_STYLE_SIZE)
    # Styles are scaled down as far as they have 32 pixels on each side: only their shape matters.
    check_sizes(ctx, style_rows, MAX_STYLE_SIZE, MAX_STYLE_SIZE)
    loss = StyleLoss(config, find_weights(table))
    styles = [row.read() for row in style_rows]
    masks = read_masks(table)
    pictures: list[tuple[dict[str, Any], Array]] = []
    runs: list[TrainingRecord] = []
    for row in rows:
        pixels, record = _make_one(ctx, row, loss, styles, masks)
        pictures.append(({"photo": row.name, "sha256": row.sha256}, pixels))
        runs.append(record)
    best = min(runs, key=lambda run: run.curves["loss"][-1])
    facts = save_pictures(ctx, pictures, History(runs), table, best=best)
    return {**facts, "styles": len(styles)}


def _make_one(
    ctx: StageContext, row: Row, loss: StyleLoss, styles: list[Array], masks: list[Array]
) -> tuple[Array, TrainingRecord]:
    config: StyleTransferConfig = ctx.config
    name, content = row.name, row.read()
    previews, look = follow(ctx, name, "painting")
    result = transfer(
        loss, content, styles, masks, checkpoint=ctx.scratch / name / "checkpoint.npz", on_step=look
    )
    before = to_bytes(resize(content, fit_size(content.shape, config.size)))
    save_with_sheet(ctx, name, previews, before, result.pixels)
    run = f"{name}/seed-{config.seed}"
    return result.pixels, record_steps(run, result.curves, result.seconds, result.resumed_from)
