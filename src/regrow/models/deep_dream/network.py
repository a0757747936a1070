"""The train stage of deep-dream: the weights that it optimises are the pixels of pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from regrow.base.files import write_json
from regrow.models.deep_dream.dream import Dream, dream, prepare, zoom_in
from regrow.models.deep_dream.objective import Objective, load_objectives
from regrow.vision.animation import save_animation
from regrow.vision.canvas import save_picture, to_bytes
from regrow.vision.choices import MAX_DREAM_SIZE
from regrow.vision.gallery import save_gallery
from regrow.vision.manifest import Row, check_sizes, profile_manifest, read_manifest
from regrow.vision.previews import Previews

if TYPE_CHECKING:
    from regrow.models.deep_dream.spec import DeepDreamConfig
    from regrow.store.context import StageContext
    from regrow.vision.decoding import Array


def train(ctx: StageContext) -> dict[str, Any]:
    """Dreams on every photo of the manifest; a killed stage goes on at its last checkpoint.

    Writes `model.keras` (the pictures, see `Gallery`), `pictures/`, `sheets/`, `history.json` and,
    if it is asked for, `zoom.webp`.
    """
    config: DeepDreamConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    rows = read_manifest(table, "photo")
    check_sizes(ctx, rows, MAX_DREAM_SIZE)
    objectives = load_objectives(config, table)
    pictures: list[tuple[dict[str, Any], Array]] = []
    history: list[dict[str, Any]] = []
    for row in rows:
        for objective, climb in objectives.items():
            label = {"photo": row.name, "sha256": row.sha256, "objective": objective}
            name = "-".join(part for part in (row.name, objective) if part)
            result = _dream_one(ctx, row, name, climb)
            pixels = to_bytes(result.pixels)
            pictures.append((label, pixels))
            history.append(_record(name, config.seed, result))
    save_gallery(pictures, ctx.out)
    write_json(ctx.out / "history.json", history)
    (ctx.out / "profile.json").write_text(json.dumps(profile_manifest(table)))
    if config.zoom_frames:
        frames = zoom_in(
            next(iter(objectives.values())),
            pictures[0][1],
            config,
            ctx.scratch / "zoom",
            on_frame=lambda done, total: ctx.progress("zoom", done, total),
        )
        save_animation(frames, ctx.out / "zoom.webp")
    best = max(history, key=lambda run: run["curves"]["objective"][-1])
    return {
        "pictures": len(pictures),
        "published_run": best["run"],
        "runs": len(history),
        "steps": sum(run["steps"] for run in history),
        "seconds": round(sum(run["seconds"] for run in history), 2),
        "weights": config.weights,
    }


def _dream_one(ctx: StageContext, row: Row, name: str, climb: Objective) -> Dream:
    config: DeepDreamConfig = ctx.config
    photo = prepare(row.read(), config.size)
    previews = Previews(ctx.scratch / name / "previews", config.preview_every, name)

    def look(done: int, total: int, pixels: Any) -> None:
        previews.offer(done, total, pixels)
        ctx.progress(f"dreaming {name}", done, total)

    result = dream(
        climb, photo, config, checkpoint=ctx.scratch / name / "checkpoint.npz", on_step=look
    )
    pixels = to_bytes(result.pixels)
    save_picture(pixels, ctx.out / "pictures" / f"{name}.png")
    save_picture(previews.draw_sheet(to_bytes(photo), pixels), ctx.out / "sheets" / f"{name}.jpg")
    return result


def _record(name: str, seed: int, result: Dream) -> dict[str, Any]:
    return {
        "run": f"{name}/seed-{seed}",
        "per": "step",
        "curves": result.curves,
        "steps": len(result.curves["objective"]),
        "seconds": round(result.seconds, 3),
        "resumed_from": result.resumed_from,
    }
