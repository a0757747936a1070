"""What `regrow dream` and `regrow stylize` share: options, settings, and the files they write."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from regrow.base.errors import UserError
from regrow.base.files import remove_empty_parents
from regrow.base.layout import ensure_layout
from regrow.base.progress import report
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.output import print_json, print_table, print_text, tell
from regrow.pipeline.request import make_request, merge, parse_overrides

if TYPE_CHECKING:
    from regrow.vision.decoding import Array

PictureFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The picture to write: .png, .jpg, .webp, .tif or .bmp."),
]
BackboneOption = Annotated[str | None, typer.Option(help="The network: mobilenet, vgg16 or vgg19.")]
WeightsOption = Annotated[
    str, typer.Option("--weights", help="imagenet, a file, or random (seeded, untrained).")
]
SizeOption = Annotated[
    int | None, typer.Option(min=32, help="Maximum length of the longer side, in pixels.")
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed; the same seed creates the same picture.")
]
Preview = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Write OUTPUT-preview.jpg every N steps."),
]
Sheet = Annotated[bool, typer.Option(help="Also write the contact sheet OUTPUT-sheet.jpg.")]


@dataclass(frozen=True)
class PictureOutput:
    """The files that a command writes for one picture.

    Attributes:
        command: the command's name.
        path: the picture.
        preview_every: steps between two previews beside the picture; None writes none.
        sheet: whether a contact sheet is written beside the picture.
    """

    command: str
    path: Path
    preview_every: int | None
    sheet: bool

    def beside(self, what: str) -> Path:
        """A file beside the picture: "sheet" gives out-sheet.jpg for out.png."""
        return self.path.with_name(f"{self.path.stem}-{what}.jpg")


class MadePicture(Protocol):
    """A finished picture; `regrow.vision.canvas.to_bytes` gives its pixels as uint8."""

    pixels: Array
    curves: dict[str, list[float]]
    seconds: float
    resumed_from: int


Made = TypeVar("Made", bound=MadePicture)


def list_changes(
    backbone: str | None,
    weights: str,
    size: int | None,
    steps: int | None,
    seed: int | None,
    preview: int | None,
) -> dict[str, Any]:
    """The settings that both commands have options for; None where an option was not given."""
    return {
        "backbone": backbone,
        "weights": "random" if weights == "random" else "imagenet",
        "size": size,
        "steps": steps,
        "seed": seed,
        "preview_every": preview,
    }


def build_config(
    model: str, preset: str | None, changes: Mapping[str, Any], overrides: Sequence[str]
) -> Any:
    """The model's settings: a preset, then the changes that are not None, then --set.

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
        UserError: a weight is not a number.
    """
    weights: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.rpartition("=") if "=" in pair else (pair, "", "1")
        try:
            weights[name] = float(text)
        except ValueError:
            raise UserError(
                "the weight must be a number",
                where=option,
                received=pair,
                expected=f"for example {option} {name}=0.5",
            ) from None
    return weights or None


def need_output(output: Path | None) -> Path:
    """The output, which can be left out only where layers are listed.

    Raises:
        UserError: it was not given, or cannot be written.
    """
    from regrow.vision.canvas import check_output

    if output is None:
        raise UserError(
            "the output file is missing",
            where="--output",
            received="nothing",
            expected="for example -o out.jpg",
        )
    return check_output(output)


def read_photo(path: Path, what: str) -> Array:
    """A picture for a command, (height, width, 3), uint8; prints what was lost when it was read.

    Raises:
        UserError: there is no such file.
        DataError: it is not a picture that can be read.
    """
    from regrow.vision.decoding import read_rgb

    if not path.is_file():
        received = "a folder" if path.is_dir() else "file not found"
        raise UserError(f"there is no such {what}", where=str(path), received=received)
    found = read_rgb(path)
    if found.frames > 1:
        tell(f"{path} has {found.frames} frames; the first one is used")
    if found.note:
        tell(f"{path}: {found.note}")
    if found.mode not in ("RGB", "L"):
        tell(f"{path} was converted from mode {found.mode} to RGB")
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


def make_picture(
    output: PictureOutput,
    config: Any,
    identity: Sequence[Any],
    before: Array,
    make: Callable[..., Made],
) -> Made:
    """Makes a picture, and writes it with its previews and its contact sheet.

    Its state is kept while it is made, so that the same command resumes after an interruption;
    `regrow gc` removes what is not resumed.

    Args:
        config: the model's settings.
        identity: what besides the settings and the output makes it the same command.
        before: the first picture of the contact sheet.
        make: called with `checkpoint` and `on_step`.
    """
    from regrow.vision.canvas import save_picture, to_bytes
    from regrow.vision.previews import Previews

    checkpoint = _checkpoint_of(output, [config.model_dump(), *identity])
    with TemporaryDirectory() as folder:
        previews = Previews(Path(folder), config.preview_every, output.path.name)

        def on_step(done: int, total: int, pixels: Array) -> None:
            previews.offer(done, total, pixels)
            if output.preview_every and done % output.preview_every == 0 and done < total:
                save_picture(to_bytes(pixels), output.beside("preview"))
            report(f"{output.command} {output.path.name}", done, total)

        made = make(checkpoint=checkpoint, on_step=on_step)
        save_picture(to_bytes(made.pixels), output.path)
        if output.sheet:
            sheet = previews.draw_sheet(to_bytes(before), to_bytes(made.pixels))
            save_picture(sheet, output.beside("sheet"))
    _remove_state(output, checkpoint)
    return made


def _checkpoint_of(output: PictureOutput, identity: Sequence[Any]) -> Path:
    """A file in a folder of its own below scratch/, as the state of a stage is."""
    from regrow.training.checkpoints import identify

    name = identify([*identity, output.path.resolve()])[:24]
    home = read_environment().home
    ensure_layout(home)
    return home.scratch / output.command / "picture" / name / "state.npz"


def _remove_state(output: PictureOutput, checkpoint: Path) -> None:
    """Removes what a finished picture no longer needs."""
    shutil.rmtree(checkpoint.parent, ignore_errors=True)
    remove_empty_parents(checkpoint.parent, checkpoint.parents[3])
    output.beside("preview").unlink(missing_ok=True)


def describe_picture(
    output: PictureOutput, made: MadePicture, measures: Mapping[str, float]
) -> dict[str, Any]:
    """What a command prints about a finished picture."""
    height, width = made.pixels.shape[:2]
    return {
        "picture": str(output.path),
        "sheet": str(output.beside("sheet")) if output.sheet else None,
        "width": width,
        "height": height,
        **measures,
        "steps": len(next(iter(made.curves.values()))),
        "resumed_at_step": made.resumed_from or None,
        "seconds": round(made.seconds, 2),
    }


def print_picture(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints the description of a finished picture."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print_text(f"{name.replace('_', ' ')}: {shown}")
