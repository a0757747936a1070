"""What a dream climbs: how strongly chosen layers, or one channel of them, respond to a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from regrow.vision.backbones import build_backbone, check_channel, cut, preprocess
from regrow.vision.canvas import fit_size, resize
from regrow.vision.decoding import MIN_SIDE, Array
from regrow.vision.gradients import ValueAndGrad, value_and_grad
from regrow.vision.manifest import find_weights, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.deep_dream.spec import DeepDreamConfig

# The guide is looked at in this size: its channels' means hardly depend on it.
GUIDE_SIDE = 448


@dataclass(frozen=True)
class Objective:
    """A compiled objective.

    Attributes:
        climb: pixels (height, width, 3) to the objective, its terms by layer, and the gradient.
        constants: what `climb` takes beside the pixels.
    """

    climb: ValueAndGrad
    constants: Mapping[str, Any]

    def __call__(self, pixels: Array) -> tuple[float, dict[str, float], Array]:
        """The objective at pixels from 0 to 255, float32."""
        return self.climb(pixels, self.constants)


def build_objectives(
    config: DeepDreamConfig, weights: Path | None, guide: Array | None = None
) -> dict[str, Objective]:
    """The objectives of a configuration by name: one, "", or one for each layer.

    Args:
        config: the settings.
        weights: of the backbone; None for random ones, which the settings must ask for.
        guide: the picture whose channels a guided dream follows, (height, width, 3), uint8.

    Raises:
        UserError: an unknown layer or channel.
        DataError: weights of another backbone.
    """
    assert (weights is None) == (config.weights == "random"), "random weights only if requested"
    backbone = build_backbone(
        config.backbone, weights=weights, seed=config.seed, pooling=config.pooling
    )
    wanted = config.chosen_layers
    for name in wanted if config.channel is not None else ():
        check_channel(backbone, name, config.channel)  # type: ignore[arg-type]
    parts = {name: {name: w} for name, w in wanted.items()}
    groups = parts if config.schedule == "apart" else {"": wanted}
    found = {}
    for name, layers in groups.items():
        network = cut(backbone, list(layers))
        constants = {} if guide is None else _look_at(network, config.backbone, guide)
        function = make_objective(network, config.backbone, layers, config.channel)
        found[name] = Objective(value_and_grad(function), constants)
    return found


def load_objectives(config: DeepDreamConfig, table: Path) -> dict[str, Objective]:
    """The objectives for a clean stage's table, whose weights and guide lie beside it."""
    guide = read_manifest(table, "guide")[0].read() if config.guided else None
    return build_objectives(config, find_weights(table), guide)


def make_objective(
    network: keras.Model, backbone: str, layers: Mapping[str, float], channel: int | None
) -> Callable[[Any, Any], tuple[Any, dict[str, Any]]]:
    """The sum over layers of weight times mean activation, as a function of pixels.

    Guided, an activation counts as much as the guide excites its channel (constants: by layer a
    vector of unit length, (channels,)).
    """

    def objective(pixels: Any, constants: Any) -> tuple[Any, dict[str, Any]]:
        features = network(preprocess(backbone, pixels)[None], training=False)
        terms = {}
        for name in layers:
            active = features[name]  # (1, height, width, channels)
            if name in constants:
                active = ops.sum(active * constants[name], axis=-1)
            elif channel is not None:
                active = active[..., channel]
            terms[name] = ops.mean(active)
        total = sum(layers[name] * term for name, term in terms.items())
        return total, terms

    return objective


def _look_at(network: keras.Model, backbone: str, guide: Array) -> dict[str, Array]:
    small = resize(guide, fit_size(guide.shape, GUIDE_SIDE, shortest=MIN_SIDE))
    features = network(preprocess(backbone, ops.convert_to_tensor(small))[None], training=False)
    vectors = {}
    for name, active in features.items():
        mean = ops.convert_to_numpy(ops.mean(active, axis=(0, 1, 2)))
        vectors[name] = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype("float32")
    return vectors
