"""`regrow stylize`: the content of one picture in the style of others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from regrow.base.errors import UserError
from regrow.base.settings import read_environment
from regrow.cli import pictures
from regrow.cli.options import Json, Overrides, Preset
from regrow.cli.output import progress_bars
from regrow.cli.terminal import prepare_terminal

if TYPE_CHECKING:
    from regrow.models.style_transfer.spec import StyleTransferConfig
    from regrow.vision.decoding import Array

EXAMPLES = (
    "Examples: [bold]regrow stylize photo.jpg painting.jpg -o out.png[/]   "
    "[bold]regrow stylize photo.jpg a.jpg b.jpg --share 2 --share 1 -o out.png[/]   "
    "[bold]regrow stylize photo.jpg sky.jpg trees.jpg --mask up.png --mask down.png -o o.png[/]   "
    "[bold]regrow stylize photo.jpg painting.jpg -o out.png --keep-colour --size 800[/]"
)

Content = Annotated[Path, typer.Argument(help="The picture whose content is kept.")]
Styles = Annotated[list[Path], typer.Argument(help="One or more style pictures.")]
Share = Annotated[
    list[float] | None,
    typer.Option("--share", help="Weight of each style, in order. [default: equal]"),
]
Masks = Annotated[
    list[Path] | None,
    typer.Option("--mask", help="A mask for each style, white where the style applies."),
]
StyleWeight = Annotated[float | None, typer.Option(min=0, help="Weight of the style.")]
ContentWeight = Annotated[float | None, typer.Option(min=0, help="Weight of the content.")]
Start = Annotated[
    Literal["content", "style", "noise"] | None, typer.Option(help="The initial picture.")
]
KeepColour = Annotated[bool, typer.Option("--keep-colour", help="Keep the colours of the content.")]
Optimizer = Annotated[
    Literal["lbfgs", "adam"] | None, typer.Option(help="The optimiser for the pixels.")
]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Steps at full size; half as many at each coarser size.")
]
Scales = Annotated[int | None, typer.Option(min=1, help="Number of sizes, from coarse to fine.")]

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def stylize(
    content: Content,
    styles: Styles,
    output: pictures.PictureFile = None,
    share: Share = None,
    mask: Masks = None,
    style_weight: StyleWeight = None,
    content_weight: ContentWeight = None,
    start: Start = None,
    keep_colour: KeepColour = False,
    optimizer: Optimizer = None,
    steps: Steps = None,
    scales: Scales = None,
    backbone: pictures.BackboneOption = None,
    weights: pictures.WeightsOption = "imagenet",
    size: pictures.SizeOption = None,
    seed: pictures.Seed = None,
    preset: Preset = None,
    overrides: Overrides = None,
    preview: pictures.Preview = None,
    sheet: pictures.Sheet = True,
    as_json: Json = False,
) -> None:
    """Redraws the content of one picture in the style of others.

    To resume an interrupted run, run the same command again.
    """
    prepare_terminal()
    changes = pictures.list_changes(backbone, weights, size, steps, seed, preview) | {
        "style_mix": share,
        "style_weight": style_weight,
        "content_weight": content_weight,
        "start": start,
        "keep_colour": keep_colour or None,
        "optimizer": optimizer,
        "scales": scales,
    }
    config = pictures.build_config("style-transfer", preset, changes, overrides or [])
    out = pictures.PictureOutput("stylize", pictures.need_output(output), preview, sheet)
    _paint(content, styles, mask or [], weights, config, out, as_json=as_json)


def _paint(
    content: Path,
    styles: list[Path],
    masks: list[Path],
    weights: str,
    config: StyleTransferConfig,
    output: pictures.PictureOutput,
    *,
    as_json: bool,
) -> None:
    from regrow.vision.canvas import check_scaled, fit_size, resize
    from regrow.vision.choices import MAX_STYLE_SIZE

    photo = pictures.read_photo(content, "content")
    check_scaled(photo.shape, config.size, str(content), allowed=MAX_STYLE_SIZE)
    style_photos = [pictures.read_photo(style, "style") for style in styles]
    for path, style in zip(styles, style_photos, strict=True):
        # A style that is not so narrow is scaled down with the photo.
        check_scaled(style.shape, MAX_STYLE_SIZE, str(path), allowed=MAX_STYLE_SIZE)
    shown = _read_masks(masks, len(style_photos))
    from regrow.models.style_transfer.losses import StyleLoss, share_styles
    from regrow.models.style_transfer.score import measure
    from regrow.models.style_transfer.transfer import transfer
    from regrow.operations.weights import obtain_weights

    share_styles(config.style_mix, len(style_photos))  # refuses shares that do not fit the styles
    with progress_bars():
        file = obtain_weights(config.backbone, weights, read_environment())
        loss = StyleLoss(config, file)
        made = pictures.make_picture(
            output,
            config,
            [file],
            before=resize(photo, fit_size(photo.shape, config.size)),
            make=partial(transfer, loss, photo, style_photos, shown),
        )
        measures = measure(loss, made.pixels, photo, style_photos, shown)
    facts = pictures.describe_picture(output, made, measures)
    pictures.print_picture(facts, as_json=as_json)


def _read_masks(paths: list[Path], styles: int) -> list[Array]:
    """One mask for each style, (height, width), float32 from 0 to 1."""
    if len(paths) not in (0, styles):
        raise UserError(
            "either every style needs a mask, or none",
            where="--mask",
            received=f"{len(paths)} masks for {styles} styles",
            expected=f"{styles}, in the order of the styles",
        )
    from regrow.models.style_transfer.losses import to_mask

    found = [to_mask(pictures.read_photo(path, "mask")) for path in paths]
    for path, one in zip(paths, found, strict=True):
        if one.max() < 0.5:
            raise UserError(
                "the mask has no white area",
                where=str(path),
                received="a picture that is completely dark",
                expected="white where the style applies",
            )
    return found
