"""The train stage of deep-dream: the weights that it optimises are the pixels of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regrow.models.deep_dream.dream import dream, prepare, zoom_in
from regrow.models.deep_dream.objective import Objective, load_objectives
from regrow.report.history import History, TrainingRecord
from regrow.vision.animation import save_animation
from regrow.vision.canvas import to_bytes
from regrow.vision.choices import MAX_DREAM_SIZE
from regrow.vision.manifest import Row, check_sizes, read_manifest
from regrow.vision.trainings import follow, record_steps, save_pictures, save_with_sheet

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
    check_sizes(ctx, rows, config.size, MAX_DREAM_SIZE)
    if config.guided:  # its size is fixed, but a long strip keeps 32 pixels on its shorter side
        check_sizes(ctx, read_manifest(table, "guide"), MAX_DREAM_SIZE, MAX_DREAM_SIZE)
    objectives = load_objectives(config, table)
    pictures: list[tuple[dict[str, Any], Array]] = []
    runs: list[TrainingRecord] = []
    for row in rows:
        for objective, climb in objectives.items():
            label = {"photo": row.name, "sha256": row.sha256, "objective": objective}
            name = "-".join(part for part in (row.name, objective) if part)
            pixels, record = _dream_one(ctx, row, name, climb)
            pictures.append((label, pixels))
            runs.append(record)
    if config.zoom_frames:
        frames = zoom_in(
            next(iter(objectives.values())),
            pictures[0][1],
            config,
            ctx.scratch / "zoom",
            on_frame=lambda done, total: ctx.progress("zoom", done, total),
        )
        save_animation(frames, ctx.out / "zoom.webp")
    best = max(runs, key=lambda run: run.curves["objective"][-1])
    return save_pictures(ctx, pictures, History(runs), table, best=best)


def _dream_one(
    ctx: StageContext, row: Row, name: str, climb: Objective
) -> tuple[Array, TrainingRecord]:
    config: DeepDreamConfig = ctx.config
    photo = prepare(row.read(), config.size)
    previews, look = follow(ctx, name, "dreaming")
    result = dream(
        climb, photo, config, checkpoint=ctx.scratch / name / "checkpoint.npz", on_step=look
    )
    pixels = to_bytes(result.pixels)
    save_with_sheet(ctx, name, previews, to_bytes(photo), pixels)
    run = f"{name}/seed-{config.seed}"
    return pixels, record_steps(run, result.curves, result.seconds, result.resumed_from)
