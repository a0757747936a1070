"""How near the pictures have come to content and style, and how long a step takes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from regrow.engine.inference import load_model
from regrow.engine.store import write_json
from regrow.models.style_transfer.losses import StyleLoss, read_masks
from regrow.models.style_transfer.score import measure
from regrow.models.style_transfer.transfer import transfer
from regrow.vision.canvas import fit_size, resize, save_picture, to_bytes
from regrow.vision.gallery import open_gallery
from regrow.vision.manifest import find_weights, read_manifest
from regrow.vision.previews import compare

if TYPE_CHECKING:
    from regrow.engine.spec import StageContext
    from regrow.models.style_transfer.spec import StyleTransferConfig
    from regrow.vision.decoding import Array

# Small enough to be made again each time: seconds on any machine.
REFERENCE_SIDE, REFERENCE_STEPS = 96, 10
TERMS = ("loss", "content", "style", "variation")


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every picture beside its photo and beside its style.

    Writes `evaluation.json`, `predictions.parquet` (picture, loss and terms) and the figures: each
    picture beside photo and style, and its contact sheet.
    """
    import pandas as pd

    config: StyleTransferConfig = ctx.config
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    loss = StyleLoss(config, find_weights(table))
    styles = [row.read() for row in read_manifest(table, "style")]
    masks = read_masks(table)
    photos = {row.sha256: row.read() for row in read_manifest(table, "photo")}
    gallery = open_gallery(load_model(train.file("model.keras")))
    history = json.loads(train.file("history.json").read_text())
    rows, figures = [], []
    for (label, pixels), run in zip(gallery, history, strict=True):
        content = photos[label["sha256"]]
        size = (pixels.shape[0], pixels.shape[1])
        ways = {
            label["photo"]: pixels,
            f"{label['photo']}, as it was": to_bytes(resize(content, size)),
            "the first style, as it is": to_bytes(resize(styles[0], size)),
        }
        for name, picture in ways.items():
            rows.append({"picture": name, **measure(loss, picture, content, styles, masks)})
        rows[-3] |= {"steps": run["steps"], "seconds a step": run["seconds"] / run["steps"]}
        figures += _draw(ctx, label["photo"], ways, styles)
        ctx.progress("measuring", len(figures) // 2, len(gallery))
    frame = pd.DataFrame(rows)
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)
    made, before = frame.iloc[::3], frame.iloc[1::3]
    reference = _run_reference(loss, next(iter(photos.values())), styles, masks)
    evaluation = {
        "headline": {
            "metric": "loss",
            "label": "loss that was reached",
            "unit": "",
            "direction": "minimize",
            "value": float(made["loss"].mean()),
            "spread": 0.0,
            "seeds": 1,
            "baseline": {"name": "the photo", "value": float(before["loss"].mean())},
        },
        "metrics": {
            **{name: float(made[name].mean()) for name in TERMS},
            "loss_of_photo": float(before["loss"].mean()),
            "seconds_per_step": float(made["seconds a step"].mean()),
            "reference_loss": reference["loss"],
            "reference_seconds_per_step": reference["seconds_per_step"],
        },
        "tables": [_table(frame), _table_reference(reference)],
        "figures": figures,
        "notes": _note(ctx),
    }
    write_json(ctx.out / "evaluation.json", evaluation)
    return {"metrics": evaluation["metrics"], "pictures": len(gallery)}


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
    small = to_bytes(resize(content, fit_size(content.shape, REFERENCE_SIDE)))
    before = measure(loss, small, content, styles, masks)["loss"]  # compiles
    started = time.perf_counter()
    result = transfer(loss, content, styles, masks, plan=plain)
    seconds = time.perf_counter() - started
    reached = measure(loss, result.pixels, content, styles, masks)["loss"]
    return {"photo": before, "loss": reached, "seconds_per_step": seconds / REFERENCE_STEPS}


def _table(frame: Any) -> dict[str, Any]:
    return {
        "title": "Pictures",
        "caption": (
            "Content and style are relative errors (1: as wrong as a picture of nothing), the "
            "variation is the mean squared difference of neighbours, the loss their weighted sum."
        ),
        "columns": list(frame.columns),
        "rows": frame.astype(object).where(frame.notna(), None).to_numpy().tolist(),
        "best_by": None,
    }


def _table_reference(reference: dict[str, float]) -> dict[str, Any]:
    return {
        "title": "Reference run",
        "caption": (
            f"Adam on the first photo at {REFERENCE_SIDE} pixels, {REFERENCE_STEPS} steps, seed 0: "
            "to compare machines and versions by."
        ),
        "columns": ["loss of photo", "loss reached", "seconds a step"],
        "rows": [[reference["photo"], reference["loss"], reference["seconds_per_step"]]],
        "best_by": None,
    }


def _draw(
    ctx: StageContext, name: str, ways: dict[str, Array], styles: list[Array]
) -> list[dict[str, str]]:
    made, before, _style = ways.values()
    figures = ctx.out / "figures"
    shown = [("the photo", before), ("the picture", made)]
    shown += [(f"style {n}", style) for n, style in enumerate(styles, 1)]
    save_picture(compare(shown), figures / f"{name}.jpg")
    sheet = ctx.inputs["train"].file(f"sheets/{name}.jpg")
    (figures / f"{name}-sheet.jpg").write_bytes(sheet.read_bytes())
    return [
        {"file": f"figures/{name}.jpg", "title": name, "caption": "Content, result and style."},
        {
            "file": f"figures/{name}-sheet.jpg",
            "title": f"{name}: contact sheet",
            "caption": "Previews on the way, through the scales from coarse to fine.",
        },
    ]


def _note(ctx: StageContext) -> list[str]:
    config: StyleTransferConfig = ctx.config
    random = (
        "The backbone's weights are seeded random numbers, as the settings ask for: it has never "
        "seen a picture, and its style is one of colours and textures alone."
    )
    return [
        *([random] if config.weights == "random" else []),
        *(
            [
                "The colours of the photo were put back after the optimisation; the loss is that "
                "of the picture with these colours."
            ]
            if config.keep_colour
            else []
        ),
        "The gate looks at the loss that was reached on the finished pictures, never at taste.",
        "The curves jump where a scale begins: the loss is measured in the size of each.",
    ]
