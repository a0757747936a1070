"""What is minimised: distances of content and style, as a trained network sees them.

L. A. Gatys, A. S. Ecker and M. Bethge, Image style transfer using convolutional neural networks
(CVPR 2016), equations 1 to 7; total variation after A. Mahendran and A. Vedaldi (arXiv:1412.0035).
Distances of features are divided by the size of what they are to be, so that a weight means the
same for every backbone, layer and picture size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from regrow.base.errors import UserError
from regrow.vision.backbones import build_backbone, cut, preprocess
from regrow.vision.canvas import resize
from regrow.vision.decoding import Array
from regrow.vision.gradients import ValueAndGrad, value_and_grad
from regrow.vision.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.style_transfer.spec import StyleTransferConfig

EPSILON = 1e-12


class StyleLoss:
    """The loss of a configuration: compiled once, with targets that are computed once a scale.

    Args:
        config: layers and weights.
        weights: of the backbone; None for random ones, which the settings must ask for.

    Raises:
        UserError: an unknown layer.
        DataError: weights of another backbone.
    """

    def __init__(self, config: StyleTransferConfig, weights: Path | None) -> None:
        assert (weights is None) == (config.weights == "random"), "random weights only if requested"
        self.config = config
        backbone = build_backbone(
            config.backbone, weights=weights, seed=config.seed, pooling=config.pooling
        )
        layers = dict.fromkeys([*config.chosen_styles, config.chosen_content])
        self.network = cut(backbone, list(layers))
        self._call: ValueAndGrad = value_and_grad(self.measure)

    def __call__(self, pixels: Array, targets: Any) -> tuple[float, dict[str, float], Array]:
        """Loss, terms and gradient at pixels (height, width, 3), float32 from 0 to 255."""
        return self._call(pixels, targets)

    def look(self, pixels: Any) -> dict[str, Any]:
        """The features of pixels (height, width, 3): by layer, (1, height, width, channels)."""
        units = preprocess(self.config.backbone, ops.convert_to_tensor(pixels))
        found: dict[str, Any] = self.network(units[None], training=False)
        return found

    def aim(
        self, content: Array, styles: Sequence[Array], masks: Sequence[Array | None] = ()
    ) -> dict[str, Any]:
        """What the picture is to be like: features of the content, Gram matrices of the styles.

        Args:
            content: (height, width, 3), float32 from 0 to 255, in the size of the picture.
            styles: pictures of any size, the same way.
            masks: for each style where in the picture it counts, (height, width) from 0 to 1; None
                for everywhere.
        """
        features = self.look(content)
        masks = [*masks, *[None] * (len(styles) - len(masks))]
        targets: dict[str, Any] = {
            "content": ops.convert_to_numpy(features[self.config.chosen_content]),
            "styles": [],
        }
        for share, style, mask in zip(
            share_styles(self.config.style_mix, len(styles)), styles, masks, strict=True
        ):
            seen = self.look(style)
            layers = self.config.chosen_styles
            targets["styles"].append(
                {
                    "share": np.float32(share),
                    "grams": {n: ops.convert_to_numpy(gram_matrix(seen[n], None)) for n in layers},
                    "masks": {}
                    if mask is None
                    else {n: _shrink_mask(mask, features[n].shape) for n in layers},
                }
            )
        return targets

    def measure(self, pixels: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        """The loss and its terms: "content", "style" and "variation", each before its weight."""
        config, features = self.config, self.look(pixels)
        content = relative_error(features[config.chosen_content], targets["content"])
        style = ops.convert_to_tensor(0.0)
        for one in targets["styles"]:
            for name, weight in config.chosen_styles.items():
                gram = gram_matrix(features[name], one["masks"].get(name))
                error = relative_error(gram, one["grams"][name])
                style = style + one["share"] * weight * error
        terms = {"content": content, "style": style, "variation": total_variation(pixels)}
        total = (
            config.content_weight * content
            + config.style_weight * style
            + config.variation_weight * terms["variation"]
        )
        return total, terms


def to_mask(picture: Array) -> Array:
    """A mask, (height, width), float32 from 0 to 1, of a picture (height, width, 3), uint8."""
    mask: Array = picture.mean(axis=2, dtype="float32") / 255
    return mask


def read_masks(table: Path) -> list[Array]:
    """The masks of a manifest, in the order of the styles; none if they count everywhere."""
    return [to_mask(row.read()) for row in read_manifest(table, "mask")]


def share_styles(mix: Sequence[float], styles: int) -> list[float]:
    """The share of each style; they sum to 1.

    Raises:
        UserError: there are not as many as styles.
    """
    if mix and len(mix) != styles:
        raise UserError(
            "every style needs a share",
            where="--share, or style_mix",
            received=f"{len(mix)} shares",
            expected=f"{styles}, in the order of the styles",
        )
    return [share / sum(mix) for share in mix] if mix else [1 / styles] * styles


def gram_matrix(features: Any, mask: Any | None) -> Any:
    """Which channels respond together: (1, height, width, channels) to (channels, channels).

    The sum over positions of the products of channels (equation 3), divided by the number of
    positions and channels. A mask (1, height, width, 1) weighs the positions.
    """
    channels = features.shape[-1]
    if mask is not None:
        features = features * ops.sqrt(mask)
    flat = ops.reshape(features, (-1, channels))  # (positions, channels)
    positions = ops.shape(flat)[0] if mask is None else ops.sum(mask)
    return ops.matmul(ops.transpose(flat), flat) / (ops.cast(positions, flat.dtype) * channels)


def relative_error(found: Any, target: Any) -> Any:
    """The squared distance divided by the target's squared size."""
    return ops.sum(ops.square(found - target)) / (ops.sum(ops.square(target)) + EPSILON)


def total_variation(pixels: Any) -> Any:
    """The mean squared difference of neighbours in (height, width, 3), as shares of the range."""
    down = ops.mean(ops.square((pixels[1:] - pixels[:-1]) / 255.0))
    right = ops.mean(ops.square((pixels[:, 1:] - pixels[:, :-1]) / 255.0))
    return down + right


def _shrink_mask(mask: Array, shape: Sequence[int]) -> Array:
    small = resize(mask[..., np.newaxis], (int(shape[1]), int(shape[2])))
    return np.clip(small, 1e-4, 1)[np.newaxis].astype("float32")
