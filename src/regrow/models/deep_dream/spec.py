"""What deep-dream is: its settings with their reasons, and its specification."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.deep_dream.card import CARD
from regrow.vision.choices import MAX_DREAM_SIZE, BackboneName, Pooling, Weights, weights_source

PACKAGE = "regrow.models.deep_dream"
# As deep as patterns still are of things, and wide enough for several of them side by side.
USUAL_LAYERS = {
    "mobilenet": {"conv_pw_11_relu": 1.0},
    "vgg16": {"block5_conv1": 1.0},
    "vgg19": {"block5_conv1": 1.0},
}
POOLS = {f"block{n}_pool": 1.0 for n in range(1, 6)}


class DeepDreamConfig(ModelConfig):
    """The settings of deep-dream."""

    # The small one: its weights are 1 MB, a step at 448 pixels takes a tenth of a second.
    backbone: BackboneName = Field(
        "mobilenet", description="the network: mobilenet, vgg16 or vgg19"
    )
    weights: Weights = Field("imagenet", description="imagenet, or random (seeded, untrained)")
    pooling: Pooling = Field("max", description="pooling of VGG: max or average")
    layers: dict[str, float] = Field(
        {}, description="layers to amplify, with weights; empty: the default layer of the backbone"
    )
    channel: int | None = Field(None, ge=0, description="amplify only this channel of the layers")
    guided: bool = Field(False, description="amplify the channels that the source style activates")
    schedule: Literal["together", "apart"] = Field(
        "together", description="all layers in one picture, or one picture per layer"
    )
    start: Literal["photo", "noise"] = Field(
        "photo", description="start from the photo or from seeded noise"
    )
    size: int = Field(
        512, ge=32, le=MAX_DREAM_SIZE, description="maximum length of the longer side, in pixels"
    )
    steps: int = Field(15, ge=1, le=10_000, description="number of steps in each octave")
    # The root mean square of a step's change: some two hundred steps reach across the range.
    step_size: float = Field(1.5, gt=0, le=255, description="step size in grey levels (RMS)")
    octaves: int = Field(4, ge=1, le=20, description="number of sizes, from coarse to fine")
    octave_scale: float = Field(
        1.4, gt=1, le=4, description="scale factor from one octave to the next"
    )
    # As far as the deepest layers' stride: seams and grids of the network average out.
    jitter: int = Field(32, ge=0, le=512, description="random shift in each step, in pixels")
    smoothing: float = Field(
        0.5, ge=0, le=20, description="blur of the gradient (sigma, in pixels)"
    )
    tile: int = Field(
        512, ge=64, le=4096, description="side length of the tiles for large pictures, in pixels"
    )
    overlap: int = Field(64, ge=0, le=1024, description="overlap of tiles on each side, in pixels")
    zoom_frames: int = Field(
        0, ge=0, le=10_000, description="number of frames of the zoom animation"
    )
    zoom: float = Field(1.04, gt=1, le=2, description="zoom factor between frames")
    zoom_steps: int = Field(2, ge=1, le=1000, description="number of steps for each frame")
    preview_every: int = Field(
        20, ge=0, le=10_000, description="number of steps between previews; 0: none"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of jitter, noise and random weights")

    @property
    def chosen_layers(self) -> dict[str, float]:
        """The layers that count, with their weights."""
        layers = self.layers or USUAL_LAYERS[self.backbone]
        return {name: weight for name, weight in layers.items() if weight}

    @model_validator(mode="after")
    def _check(self) -> DeepDreamConfig:
        if self.layers and not self.chosen_layers:
            raise ValueError("at least one layer must have a weight other than 0")
        if self.guided and self.channel is not None:
            raise ValueError("guided and channel cannot be combined")
        if 2 * self.overlap >= self.tile:
            raise ValueError("overlap must be less than half of tile")
        return self


def choose_sources(config: DeepDreamConfig, sources: tuple[str, ...]) -> tuple[str, ...]:
    """The photo, the guide if there is to be one, the backbone's weights unless they are random."""
    wanted = {"photo"}
    wanted |= {"style"} if config.guided else set()
    wanted |= {weights_source(config.backbone)} if config.weights == "imagenet" else set()
    return tuple(source for source in sources if source in wanted)


def name_scope(config: Any) -> str:
    """Dreams compete with dreams of the same objective, seen by the same backbone."""
    layers = "+".join(config.chosen_layers)
    parts = [
        config.backbone,
        "random" if config.weights == "random" else "",
        layers if len(layers) <= 40 else f"{len(config.chosen_layers)}-layers",
        f"c{config.channel}" if config.channel is not None else "",
        "guided" if config.guided else "",
    ]
    return "-".join(part for part in parts if part)


CLEAN = ("backbone", "weights", "guided")

SPEC = ModelSpec(
    name="deep-dream",
    title="pictures that amplify what a network sees",
    description=(
        "Gradient ascent on the pixels of a photo increases the activations of selected layers "
        "of a trained network, in octaves from coarse to fine (Mordvintsev, Olah and Tyka 2015)."
    ),
    config=DeepDreamConfig,
    sources=("photo", "style", "mobilenet-imagenet", "vgg16-imagenet", "vgg19-imagenet"),
    needs=choose_sources,
    stages={
        "clean": StageSpec(f"{PACKAGE}.data:clean", CLEAN),
        "validate": StageSpec("regrow.vision.manifest_expectations:EXPECTATIONS"),
        "train": StageSpec(f"{PACKAGE}.network:train", tuple(DeepDreamConfig.model_fields)),
        "evaluate": StageSpec(f"{PACKAGE}.evaluate:evaluate", tuple(DeepDreamConfig.model_fields)),
    },
    # On the objective that was reached, never on taste; rounding to bytes moves it by less.
    gate=Gate(
        score=f"{PACKAGE}.score:score", metric="objective", direction="maximize", margin=0.001
    ),
    predict=f"{PACKAGE}.predict:predict",
    serving=Serving(
        ("regrow.vision.gallery_serving",), "regrow.vision.gallery_serving:describe", ("pillow",)
    ),
    card=CARD,
    scope=name_scope,
    id_column="name",
    presets={
        "best": {},
        # The chapter's: three steps of the normalised gradient, from the photo, for each pool.
        "book": {
            "backbone": "vgg16",
            "layers": POOLS,
            "schedule": "apart",
            "steps": 3,
            "step_size": 8.0,
            "octaves": 1,
            "jitter": 0,
            "smoothing": 0,
        },
        # The chapter's picture out of noise.
        "book-filter": {
            "backbone": "vgg16",
            "layers": {"block4_pool": 1.0},
            "channel": 24,
            "start": "noise",
            "size": 224,
            "steps": 20,
            "octaves": 1,
            "jitter": 0,
            "smoothing": 0,
        },
        "quick": {"size": 224, "steps": 6, "octaves": 3, "zoom_frames": 6},
        # Runs with no network and no mirror: textures without a trained eye.
        "untrained": {"weights": "random", "size": 224, "steps": 6, "octaves": 3},
    },
)
