"""`regrow dream`: a photo, or noise, with more of what a trained network sees in it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regrow.base.errors import UserError
from regrow.base.progress import report
from regrow.base.settings import read_environment
from regrow.cli import pictures
from regrow.cli.options import Json, Overrides, Preset
from regrow.cli.output import print_json, progress_bars
from regrow.cli.terminal import prepare_terminal

if TYPE_CHECKING:
    from regrow.models.deep_dream.objective import Objective
    from regrow.models.deep_dream.spec import DeepDreamConfig
    from regrow.vision.decoding import Array

EXAMPLES = (
    "Examples: [bold]regrow dream photo.jpg -o dream.jpg[/]   "
    "[bold]regrow dream photo.jpg -o eyes.png --layer conv_pw_9_relu --channel 24[/]   "
    "[bold]regrow dream photo.jpg -o d.png --zoom zoom.webp --frames 60[/]   "
    "[bold]regrow dream --noise 400x300 -o n.png[/]   [bold]regrow dream --layers[/]"
)
MAX_NOISE_PX = 8192

Photo = Annotated[Path | None, typer.Argument(help="The picture to start from.")]
LayerWeights = Annotated[
    list[str] | None,
    typer.Option("--layer", metavar="NAME[=WEIGHT]", help="A layer to amplify; repeatable."),
]
Channel = Annotated[int | None, typer.Option(help="Amplify only this channel of the layers.")]
Guide = Annotated[Path | None, typer.Option(help="A picture whose features are amplified.")]
Noise = Annotated[
    str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Start from noise of this size.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Number of steps in each octave.")]
Octaves = Annotated[int | None, typer.Option(min=1, help="Number of sizes, from coarse to fine.")]
Zoom = Annotated[
    Path | None, typer.Option(help="Also write a zoom animation: .gif, .webp or .mp4.")
]
Frames = Annotated[int, typer.Option(min=2, help="Number of frames in the animation.")]
ListLayers = Annotated[
    bool, typer.Option("--layers", help="List the backbone's layers with their sizes.")
]

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def dream(
    photo: Photo = None,
    output: pictures.PictureFile = None,
    layer: LayerWeights = None,
    channel: Channel = None,
    guide: Guide = None,
    noise: Noise = None,
    backbone: pictures.BackboneOption = None,
    weights: pictures.WeightsOption = "imagenet",
    size: pictures.SizeOption = None,
    steps: Steps = None,
    octaves: Octaves = None,
    zoom: Zoom = None,
    frames: Frames = 48,
    seed: pictures.Seed = None,
    preset: Preset = None,
    overrides: Overrides = None,
    preview: pictures.Preview = None,
    sheet: pictures.Sheet = True,
    layers: ListLayers = False,
    as_json: Json = False,
) -> None:
    """Amplifies the patterns that a trained network sees in a photo.

    To resume an interrupted run, run the same command again.
    """
    prepare_terminal()
    changes = pictures.list_changes(backbone, weights, size, steps, seed, preview) | {
        "layers": pictures.parse_weighted(layer or [], "--layer"),
        "channel": channel,
        "guided": guide is not None or None,
        "octaves": octaves,
        "zoom_frames": frames if zoom else None,
    }
    config = pictures.build_config("deep-dream", preset, changes, overrides or [])
    if layers:
        pictures.show_layers(config.backbone, as_json)
    else:
        out = pictures.PictureOutput("dream", pictures.need_output(output), preview, sheet)
        _dream_all(photo, noise, guide, weights, config, out, zoom, as_json=as_json)


def _dream_all(
    photo: Path | None,
    noise: str | None,
    guide: Path | None,
    weights: str,
    config: DeepDreamConfig,
    output: pictures.PictureOutput,
    zoom: Path | None,
    *,
    as_json: bool,
) -> None:
    """Makes a picture for each objective, and the animation of the last one."""
    if zoom is not None:
        from regrow.vision.animation import ANIMATIONS, check_ffmpeg
        from regrow.vision.canvas import check_output

        check_ffmpeg(check_output(zoom, ANIMATIONS))
    start, config = _find_start(photo, noise, config)
    guided_by = _read_guide(guide) if guide else None
    from regrow.models.deep_dream.objective import build_objectives
    from regrow.operations.weights import obtain_weights

    with progress_bars():
        file = obtain_weights(config.backbone, weights, read_environment())
        objectives = build_objectives(config, file, guided_by)
        facts = [
            _dream_one(climb, start, config, _name_output(output, name), (file, guide))
            for name, climb in objectives.items()
        ]
        if zoom is not None:
            facts[-1]["zoom"] = _zoom(list(objectives.values())[-1], facts[-1], config, zoom)
    if as_json:
        print_json(facts if len(facts) > 1 else facts[0])
        return
    for one in facts:
        pictures.print_picture(one, as_json=False)


def _read_guide(path: Path) -> Array:
    """A guide that is not so narrow that it stays large when it is scaled."""
    from regrow.vision.canvas import check_scaled
    from regrow.vision.choices import MAX_DREAM_SIZE

    pixels = pictures.read_photo(path, "guide")
    check_scaled(pixels.shape, MAX_DREAM_SIZE, str(path), allowed=MAX_DREAM_SIZE)
    return pixels


def _find_start(
    photo: Path | None, noise: str | None, config: DeepDreamConfig
) -> tuple[Array, DeepDreamConfig]:
    """The photo in the size of the dream; for noise, a grey picture of its size."""
    import numpy as np

    from regrow.models.deep_dream.dream import prepare
    from regrow.vision.canvas import check_scaled
    from regrow.vision.choices import MAX_DREAM_SIZE

    if (photo is None) == (noise is None):
        raise UserError(
            "choose either a photo or noise as the start",
            received="neither" if photo is None else "both",
            expected="regrow dream photo.jpg -o out.jpg, or --noise 400x300 without a photo",
        )
    if photo is not None:
        pixels = pictures.read_photo(photo, "photo")
        check_scaled(pixels.shape, config.size, str(photo), allowed=MAX_DREAM_SIZE)
        return prepare(pixels, config.size), config
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", noise or "")
    width, height = map(int, found.groups()) if found else (0, 0)
    if not 32 <= min(width, height) <= max(width, height) <= MAX_NOISE_PX:
        raise UserError(
            "the size must be WIDTHxHEIGHT in pixels",
            where="--noise",
            received=str(noise),
            expected=f"for example 400x300; each side from 32 to {MAX_NOISE_PX}",
        )
    blank = np.full((height, width, 3), 127.5, "float32")
    return blank, config.model_copy(update={"start": "noise", "size": max(width, height)})


def _name_output(output: pictures.PictureOutput, objective: str) -> pictures.PictureOutput:
    path = output.path
    named = path.with_name(f"{path.stem}-{objective}{path.suffix}") if objective else path
    return replace(output, path=named)


def _dream_one(
    climb: Objective,
    start: Array,
    config: DeepDreamConfig,
    output: pictures.PictureOutput,
    identity: tuple[Path | None, Path | None],
) -> dict[str, Any]:
    import numpy as np

    from regrow.models.deep_dream.dream import dream as dream_on
    from regrow.models.deep_dream.score import measure
    from regrow.vision.canvas import to_bytes

    made = pictures.make_picture(
        output,
        config,
        identity,
        before=start if config.start == "photo" else np.full_like(start, 127.5),
        make=partial(dream_on, climb, start, config),
    )
    measures = {
        "objective": measure(climb, to_bytes(made.pixels), config),
        "objective_at_start": made.curves["objective"][0],
    }
    return pictures.describe_picture(output, made, measures)


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
