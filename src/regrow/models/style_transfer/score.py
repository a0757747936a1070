"""How pictures are scored: by the loss that they reach, the same way for old and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import UserError
from regrow.models.style_transfer.losses import StyleLoss, read_masks
from regrow.models.style_transfer.transfer import fit_style
from regrow.vision.canvas import clip, fit_size, resize
from regrow.vision.decoding import Array
from regrow.vision.gallery import open_gallery
from regrow.vision.manifest import find_weights, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regrow.models.style_transfer.spec import StyleTransferConfig


def measure(
    loss: StyleLoss,
    pixels: Array,
    content: Array,
    styles: Sequence[Array],
    masks: Sequence[Array | None] = (),
) -> dict[str, float]:
    """The loss of a picture and its terms, in its own size; all are (height, width, 3), uint8."""
    size = (pixels.shape[0], pixels.shape[1])
    small = [fit_style(style, size, loss.config.style_scale) for style in styles]
    targets = loss.aim(clip(resize(content, size)), small, masks)
    value, terms, _gradient = loss(pixels.astype("float32"), targets)
    return {"loss": value, **terms}


def score(model: Any, table: Path, config: StyleTransferConfig) -> dict[str, float]:
    """The mean loss over the pictures that a model holds of the photos in the manifest.

    Raises:
        UserError: it lacks one of them.
    """
    loss = StyleLoss(config, find_weights(table))
    styles = [row.read() for row in read_manifest(table, "style")]
    masks = read_masks(table)
    held = {label["sha256"]: pixels for label, pixels in open_gallery(model)}
    photos = read_manifest(table, "photo")
    lacking = [row.sha256 for row in photos if row.sha256 not in held]
    if lacking:
        raise UserError(
            "the model contains no picture for one of the requested photos",
            received=f"{len(held)} pictures",
            expected=f"a picture for the photo with sha256 {lacking[0][:12]}",
        )
    # In the size that is asked for now: a smaller picture is an easier one.
    found = []
    for row in photos:
        content = row.read()
        size = fit_size(content.shape, config.size)
        pixels = clip(resize(held[row.sha256], size))
        found.append(measure(loss, pixels, content, styles, masks))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}
