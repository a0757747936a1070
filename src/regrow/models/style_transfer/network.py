"""The train stage of style-transfer: the weights that it optimises are the pixels of pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from regrow.base.files import write_json
from regrow.models.style_transfer.losses import StyleLoss, read_masks
from regrow.models.style_transfer.transfer import Transfer, transfer
from regrow.vision.canvas import fit_size, resize, save_picture, to_bytes
from regrow.vision.choices import MAX_STYLE_SIZE
from regrow.vision.gallery import save_gallery
from regrow.vision.manifest import Row, check_sizes, find_weights, profile_manifest, read_manifest
from regrow.vision.previews import Previews

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
    check_sizes(ctx, rows, MAX_STYLE_SIZE)
    loss = StyleLoss(config, find_weights(table))
    styles = [row.read() for row in read_manifest(table, "style")]
    masks = read_masks(table)
    pictures: list[tuple[dict[str, Any], Array]] = []
    history: list[dict[str, Any]] = []
    for row in rows:
        result = _make_one(ctx, row, loss, styles, masks)
        pictures.append(({"photo": row.name, "sha256": row.sha256}, result.pixels))
        history.append(
            {
                "run": f"{row.name}/seed-{config.seed}",
                "per": "step",
                "curves": result.curves,
                "steps": len(result.curves["loss"]),
                "seconds": round(result.seconds, 3),
                "resumed_from": result.resumed_from,
            }
        )
    save_gallery(pictures, ctx.out)
    write_json(ctx.out / "history.json", history)
    (ctx.out / "profile.json").write_text(json.dumps(profile_manifest(table)))
    best = min(history, key=lambda run: run["curves"]["loss"][-1])
    return {
        "pictures": len(pictures),
        "styles": len(styles),
        "published_run": best["run"],
        "runs": len(history),
        "steps": sum(run["steps"] for run in history),
        "seconds": round(sum(run["seconds"] for run in history), 2),
        "weights": config.weights,
    }


def _make_one(
    ctx: StageContext, row: Row, loss: StyleLoss, styles: list[Array], masks: list[Array]
) -> Transfer:
    name, content = row.name, row.read()
    previews = Previews(ctx.scratch / name / "previews", ctx.config.preview_every, name)

    def look(done: int, total: int, pixels: Array) -> None:
        previews.offer(done, total, pixels)
        ctx.progress(f"painting {name}", done, total)

    result = transfer(
        loss, content, styles, masks, checkpoint=ctx.scratch / name / "checkpoint.npz", on_step=look
    )
    before = to_bytes(resize(content, fit_size(content.shape, ctx.config.size)))
    save_picture(result.pixels, ctx.out / "pictures" / f"{name}.png")
    save_picture(previews.draw_sheet(before, result.pixels), ctx.out / "sheets" / f"{name}.jpg")
    return result
