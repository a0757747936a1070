"""The command that dreams on a photo."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regrow.cli.act import prepare_terminal
from regrow.cli.options import Json
from regrow.cli.output import progress_bars
from regrow.cli.pictures import (
    Backbone,
    Output,
    Overrides,
    Preset,
    Preview,
    Seed,
    Sheet,
    Size,
    WeightsOption,
    beside,
    build_config,
    checkpoint_of,
    end_picture,
    need_output,
    parse_weighted,
    read_photo,
    report_picture,
    show_layers,
)
from regrow.engine.config import read_environment
from regrow.engine.errors import UserError
from regrow.engine.progress import report

if TYPE_CHECKING:
    from regrow.models.deep_dream.objective import Objective
    from regrow.models.deep_dream.spec import DeepDreamConfig
    from regrow.vision.decoding import Array

DREAM_EXAMPLES = (
    "Examples: [bold]regrow dream photo.jpg -o dream.jpg[/]   "
    "[bold]regrow dream photo.jpg -o eyes.png --layer conv_pw_9_relu --channel 24[/]   "
    "[bold]regrow dream photo.jpg -o d.png --zoom zoom.webp --frames 60[/]   "
    "[bold]regrow dream --noise 400x300 -o n.png[/]   [bold]regrow dream --layers[/]"
)
MOST_NOISE = 8192


def dream(
    photo: Annotated[Path | None, typer.Argument(help="A picture of your own.")] = None,
    output: Output = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="NAME[=WEIGHT]", help="What grows; repeatable."),
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Only this channel of the layers.")] = None,
    guide: Annotated[Path | None, typer.Option(help="A picture whose features grow.")] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Out of noise, not from a photo.")
    ] = None,
    backbone: Backbone = None,
    weights: WeightsOption = "imagenet",
    size: Size = None,
    steps: Annotated[int | None, typer.Option(min=1, help="In each octave.")] = None,
    octaves: Annotated[int | None, typer.Option(min=1, help="Sizes from coarse to fine.")] = None,
    zoom: Annotated[
        Path | None, typer.Option(help="An animation into the dream: .gif, .webp or .mp4.")
    ] = None,
    frames: Annotated[int, typer.Option(min=2, help="Of the animation.")] = 48,
    seed: Seed = None,
    preset: Preset = None,
    overrides: Overrides = None,
    preview: Preview = None,
    sheet: Sheet = True,
    layers: Annotated[
        bool, typer.Option("--layers", help="List the backbone's layers with their sizes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Dreams on a photo: a trained network sees in it more of what it looks for.

    Interrupted, the same command goes on where it was.
    """
    prepare_terminal()
    changes: dict[str, Any] = {
        "backbone": backbone,
        "weights": "random" if weights == "random" else "imagenet",
        "layers": parse_weighted(layer or [], "--layer"),
        "channel": channel,
        "guided": guide is not None or None,
        "start": "noise" if noise else None,
        "size": size,
        "steps": steps,
        "octaves": octaves,
        "seed": seed,
        "preview_every": preview,
        "zoom_frames": frames if zoom else None,
    }
    config: DeepDreamConfig = build_config("deep-dream", preset, changes, overrides or [])  # type: ignore[assignment]
    if layers:
        show_layers(config.backbone, as_json)
        return
    target = need_output(output)
    if zoom is not None:
        from regrow.vision.animation import ANIMATIONS, check_ffmpeg
        from regrow.vision.canvas import check_output

        check_ffmpeg(check_output(zoom, ANIMATIONS))
    start, config = _find_start(photo, noise, config)
    guided_by = read_photo(guide, "guide") if guide else None
    from regrow.models.deep_dream.objective import build_objectives
    from regrow.vision.weights import obtain_weights

    with progress_bars():
        file = obtain_weights(config.backbone, weights, read_environment())
        objectives = build_objectives(config, file, guided_by)
        facts = [
            _dream_one(climb, start, config, _name(target, name), (file, guide), preview, sheet)
            for name, climb in objectives.items()
        ]
        if zoom is not None:
            facts[-1]["zoom"] = _zoom(list(objectives.values())[-1], facts[-1], config, zoom)
    for one in facts:
        report_picture(one, as_json=as_json)


def _find_start(
    photo: Path | None, noise: str | None, config: DeepDreamConfig
) -> tuple[Array, DeepDreamConfig]:
    """The photo in the size of the dream; for noise, something of its size."""
    import numpy as np

    from regrow.models.deep_dream.dream import prepare

    if (photo is None) == (noise is None):
        raise UserError(
            "dream on a photo, or out of noise",
            received="neither" if photo is None else "both",
            expected="regrow dream photo.jpg -o out.jpg, or --noise 400x300 in place of the photo",
        )
    if photo is not None:
        return prepare(read_photo(photo, "photo"), config.size), config
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", noise or "")
    width, height = map(int, found.groups()) if found else (0, 0)
    if not 32 <= min(width, height) <= max(width, height) <= MOST_NOISE:
        raise UserError(
            "a size is WIDTHxHEIGHT in pixels",
            where="--noise",
            received=str(noise),
            expected=f"for example 400x300, each from 32 to {MOST_NOISE}",
        )
    blank = np.full((height, width, 3), 127.5, "float32")
    return blank, config.model_copy(update={"size": max(width, height)})


def _name(target: Path, objective: str) -> Path:
    return target.with_name(f"{target.stem}-{objective}{target.suffix}") if objective else target


def _dream_one(
    climb: Objective,
    start: Array,
    config: DeepDreamConfig,
    target: Path,
    seen: Any,
    preview: int | None,
    sheet: bool,
) -> dict[str, Any]:
    """Dreams one picture and writes it with its contact sheet."""
    from regrow.models.deep_dream.dream import dream as run
    from regrow.models.deep_dream.score import measure
    from regrow.vision.canvas import save_picture, to_bytes
    from regrow.vision.previews import Previews

    settings = read_environment()
    checkpoint = checkpoint_of(settings, "dream", config.model_dump(), target.resolve(), seen)
    with TemporaryDirectory() as folder:
        previews = Previews(Path(folder), config.preview_every, target.name)

        def look(done: int, total: int, pixels: Array) -> None:
            previews.offer(done, total, pixels)
            if preview and done % preview == 0 and done < total:
                save_picture(to_bytes(pixels), beside(target, "preview"))
            report(f"dreaming {target.name}", done, total)

        result = run(climb, start, config, checkpoint=checkpoint, on_step=look)
        pixels = to_bytes(result.pixels)
        save_picture(pixels, target)
        if sheet:
            first = start if config.start == "photo" else result.pixels * 0 + 127.5
            save_picture(previews.draw_sheet(to_bytes(first), pixels), beside(target, "sheet"))
    end_picture(checkpoint, target)
    return {
        "picture": str(target),
        "sheet": str(beside(target, "sheet")) if sheet else None,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "objective": measure(climb, pixels, config),
        "objective_at_start": result.curves["objective"][0],
        "steps": len(result.curves["objective"]),
        "resumed_at_step": result.resumed_from or None,
        "seconds": round(result.seconds, 2),
    }


def _zoom(climb: Objective, facts: dict[str, Any], config: DeepDreamConfig, out: Path) -> str:
    from regrow.models.deep_dream.dream import zoom_in
    from regrow.vision.animation import save_animation
    from regrow.vision.decoding import read_rgb

    with TemporaryDirectory() as folder:
        pixels = read_rgb(Path(facts["picture"])).pixels
        frames = zoom_in(
            climb, pixels, config, Path(folder), on_frame=lambda n, of: report("zoom", n, of)
        )
        return str(save_animation(frames, out))
