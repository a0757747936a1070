"""The command that puts a photo into the style of other pictures."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    read_photo,
    report_picture,
)
from regrow.engine.config import read_environment
from regrow.engine.errors import UserError
from regrow.engine.progress import report

if TYPE_CHECKING:
    from regrow.models.style_transfer.spec import StyleTransferConfig
    from regrow.vision.decoding import Array

STYLIZE_EXAMPLES = (
    "Examples: [bold]regrow stylize photo.jpg painting.jpg -o out.png[/]   "
    "[bold]regrow stylize photo.jpg a.jpg b.jpg --share 2 --share 1 -o out.png[/]   "
    "[bold]regrow stylize photo.jpg sky.jpg trees.jpg --mask up.png --mask down.png -o o.png[/]   "
    "[bold]regrow stylize photo.jpg painting.jpg -o out.png --keep-colour --size 800[/]"
)


def stylize(
    content: Annotated[Path, typer.Argument(help="The picture whose content stays.")],
    styles: Annotated[list[Path], typer.Argument(help="One or several pictures of a style.")],
    output: Output = None,
    share: Annotated[
        list[float] | None,
        typer.Option("--share", help="Of each style, in their order [default: all alike]."),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option("--mask", help="For each style a picture, white where the style counts."),
    ] = None,
    style_weight: Annotated[float | None, typer.Option(min=0, help="More of the style.")] = None,
    content_weight: Annotated[
        float | None, typer.Option(min=0, help="More of the content.")
    ] = None,
    start: Annotated[
        Literal["content", "style", "noise"] | None, typer.Option(help="Where it begins.")
    ] = None,
    keep_colour: Annotated[
        bool, typer.Option("--keep-colour", help="The style's strokes, the content's colours.")
    ] = False,
    optimizer: Annotated[
        Literal["lbfgs", "adam"] | None, typer.Option(help="How pixels are optimised.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="At full size; coarser: half.")] = None,
    scales: Annotated[int | None, typer.Option(min=1, help="Sizes from coarse to fine.")] = None,
    backbone: Backbone = None,
    weights: WeightsOption = "imagenet",
    size: Size = None,
    seed: Seed = None,
    preset: Preset = None,
    overrides: Overrides = None,
    preview: Preview = None,
    sheet: Sheet = True,
    as_json: Json = False,
) -> None:
    """Paints the content of one picture in the style of others.

    Interrupted, the same command goes on where it was.
    """
    prepare_terminal()
    changes: dict[str, Any] = {
        "backbone": backbone,
        "weights": "random" if weights == "random" else "imagenet",
        "style_mix": share,
        "style_weight": style_weight,
        "content_weight": content_weight,
        "start": start,
        "keep_colour": keep_colour or None,
        "optimizer": optimizer,
        "steps": steps,
        "scales": scales,
        "size": size,
        "seed": seed,
        "preview_every": preview,
    }
    config: StyleTransferConfig = build_config("style-transfer", preset, changes, overrides or [])  # type: ignore[assignment]
    target = need_output(output)
    photo = read_photo(content, "content")
    pictures = [read_photo(style, "style") for style in styles]
    masks = _read_masks(mask or [], len(pictures))
    from regrow.models.style_transfer.losses import StyleLoss, share_styles
    from regrow.vision.weights import obtain_weights

    share_styles(config.style_mix, len(pictures))
    with progress_bars():
        file = obtain_weights(config.backbone, weights, read_environment())
        loss = StyleLoss(config, file)
        facts = _paint(loss, photo, pictures, masks, target, file, preview, sheet)
    report_picture(facts, as_json=as_json)


def _read_masks(paths: list[Path], styles: int) -> list[Array]:
    """One mask for each style, (height, width), float32 from 0 to 1."""
    if len(paths) not in (0, styles):
        raise UserError(
            "each style needs its mask, or none has one",
            where="--mask",
            received=f"{len(paths)} masks for {styles} styles",
            expected=f"{styles}, in the order of the styles",
        )
    from regrow.models.style_transfer.losses import to_mask

    found = [to_mask(read_photo(path, "mask")) for path in paths]
    for path, one in zip(paths, found, strict=True):
        if one.max() < 0.5:
            raise UserError(
                "the mask leaves nothing to its style",
                where=str(path),
                received="a picture that is dark everywhere",
                expected="white where the style counts",
            )
    return found


def _paint(
    loss: Any,
    photo: Array,
    styles: list[Array],
    masks: list[Array],
    target: Path,
    file: Path | None,
    preview: int | None,
    sheet: bool,
) -> dict[str, Any]:
    """Makes the picture and writes it with its contact sheet."""
    from regrow.models.style_transfer.score import measure
    from regrow.models.style_transfer.transfer import transfer
    from regrow.vision.canvas import resize, save_picture, to_bytes
    from regrow.vision.previews import Previews

    config: StyleTransferConfig = loss.config
    settings = read_environment()
    checkpoint = checkpoint_of(settings, "stylize", config.model_dump(), target.resolve(), file)
    with TemporaryDirectory() as folder:
        previews = Previews(Path(folder), config.preview_every, target.name)

        def look(done: int, total: int, pixels: Array) -> None:
            previews.offer(done, total, pixels)
            if preview and done % preview == 0 and done < total:
                save_picture(to_bytes(pixels), beside(target, "preview"))
            report(f"painting {target.name}", done, total)

        result = transfer(loss, photo, styles, masks, checkpoint=checkpoint, on_step=look)
        save_picture(result.pixels, target)
        if sheet:
            before = to_bytes(resize(photo, result.pixels.shape[:2]))
            save_picture(previews.draw_sheet(before, result.pixels), beside(target, "sheet"))
    end_picture(checkpoint, target)
    return {
        "picture": str(target),
        "sheet": str(beside(target, "sheet")) if sheet else None,
        "width": result.pixels.shape[1],
        "height": result.pixels.shape[0],
        **measure(loss, result.pixels, photo, styles, masks),
        "steps": len(result.curves["loss"]),
        "resumed_at_step": result.resumed_from or None,
        "seconds": round(result.seconds, 2),
    }
