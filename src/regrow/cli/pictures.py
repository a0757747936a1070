"""What the commands that make pictures share: options, settings, and how a run is shown."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regrow.cli.output import console, errors, print_json, print_table
from regrow.engine.config import make_request, merge, parse_overrides
from regrow.engine.errors import UserError
from regrow.engine.spec import ModelConfig
from regrow.engine.store import remove_empty_parents
from regrow.models import get_spec

if TYPE_CHECKING:
    from regrow.engine.config import Settings
    from regrow.vision.decoding import Array

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The picture: .png, .jpg, .webp, .tif, .bmp.")
]
Backbone = Annotated[str | None, typer.Option(help="mobilenet, vgg16 or vgg19.")]
WeightsOption = Annotated[
    str, typer.Option("--weights", help="imagenet, a file, or random: seeded, untrained.")
]
Preset = Annotated[str | None, typer.Option(help="A named set of settings; see regrow list.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeatable."),
]
Size = Annotated[int | None, typer.Option(min=32, help="The longer side in pixels, at most.")]
Seed = Annotated[int | None, typer.Option(min=0, help="The same seed makes the same picture.")]
Preview = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Every N steps write OUTPUT-preview.jpg."),
]
Sheet = Annotated[bool, typer.Option(help="Write the contact sheet OUTPUT-sheet.jpg as well.")]


def build_config(
    model: str, preset: str | None, changes: Mapping[str, Any], overrides: Sequence[str]
) -> ModelConfig:
    """The settings of a command: a preset, its own options, then --set; options not given are None.

    Raises:
        UserError: an unknown setting, or a value out of bounds.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    request = make_request(
        get_spec(model), preset=preset, overrides=merge(given, parse_overrides(overrides))
    )
    return get_spec(model).config.model_validate(request.config)


def parse_weighted(pairs: Sequence[str], option: str) -> dict[str, float] | None:
    """Turns "NAME" and "NAME=WEIGHT" into weights by name; None if there are none.

    Raises:
        UserError: a weight is no number.
    """
    weights: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.rpartition("=") if "=" in pair else (pair, "", "1")
        try:
            weights[name] = float(text)
        except ValueError:
            raise UserError(
                "a weight is a number",
                where=option,
                received=pair,
                expected=f"for example {option} {name}=0.5",
            ) from None
    return weights or None


def find_file(path: Path, what: str) -> Path:
    """A file that a command is to read.

    Raises:
        UserError: it is not there.
    """
    if not path.is_file():
        received = "a folder" if path.is_dir() else "nothing there"
        raise UserError(f"there is no such {what}", where=str(path), received=received)
    return path


def need_output(output: Path | None) -> Path:
    """The output, which can be left out only where layers are listed.

    Raises:
        UserError: it was not given, or cannot be written.
    """
    from regrow.vision.canvas import check_output

    if output is None:
        raise UserError(
            "say where the picture goes",
            where="--output",
            received="nothing",
            expected="for example -o out.jpg",
        )
    return check_output(output)


def beside(output: Path, what: str) -> Path:
    """The name of a file that goes with the output: out.png and "sheet" give out-sheet.jpg."""
    return output.with_name(f"{output.stem}-{what}.jpg")


def note_decoding(path: Path, frames: int, mode: str) -> None:
    """Says what a picture lost when it was read."""
    if frames > 1:
        errors.print(f"{path} has {frames} frames: the first is taken", markup=False)
    if mode not in ("RGB", "L"):
        errors.print(f"{path} is read from mode {mode} to RGB", markup=False)


def read_photo(path: Path, what: str) -> Array:
    """A picture for a command, (height, width, 3), uint8."""
    from regrow.vision.decoding import read_rgb

    found = read_rgb(find_file(path, what))
    note_decoding(path, found.frames, found.mode)
    return found.pixels


def show_layers(backbone: str, as_json: bool) -> None:
    """Prints a backbone's layers with their sizes for a picture of 224 x 224 pixels."""
    from regrow.vision.backbones import build_backbone, list_layers

    rows = list_layers(build_backbone(backbone, weights=None))
    if as_json:
        print_json({"backbone": backbone, "input": [224, 224, 3], "layers": rows})
        return
    title = f"layers of {backbone}, for a picture of 224 x 224 pixels"
    print_table(title, list(rows[0]), [list(row.values()) for row in rows])


def report_picture(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """What a finished command says."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            console.print(f"{name.replace('_', ' ')}: {shown}", markup=False, soft_wrap=True)


def checkpoint_of(settings: Settings, command: str, *parts: Any) -> Path:
    """Where a command keeps its state, so that the same command goes on after an interruption.

    In a folder of its own, as a stage's is: what nobody goes on with is removed by `regrow gc`.
    """
    from regrow.vision.checkpoints import identify

    return settings.home / "scratch" / command / "picture" / identify(parts)[:24] / "state.npz"


def end_picture(checkpoint: Path, target: Path) -> None:
    """Removes what a finished picture needs no more: its state and its preview."""
    shutil.rmtree(checkpoint.parent, ignore_errors=True)
    remove_empty_parents(checkpoint.parent, checkpoint.parents[3])
    beside(target, "preview").unlink(missing_ok=True)
