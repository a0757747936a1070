"""What style-transfer is: its settings with their reasons, and its specification."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.style_transfer.card import CARD
from regrow.vision.choices import MAX_STYLE_SIZE, BackboneName, Pooling, Weights, weights_source

PACKAGE = "regrow.models.style_transfer"
# Gatys, Ecker and Bethge's layers for VGG, and for MobileNet layers of the same depths.
VGG_STYLE = {f"block{n}_conv1": 1.0 for n in range(1, 6)}
MOBILENET_STYLE = {"conv1_relu": 1.0, **{f"conv_pw_{n}_relu": 1.0 for n in (1, 3, 5, 9)}}
USUAL_STYLE = {"mobilenet": MOBILENET_STYLE, "vgg16": VGG_STYLE, "vgg19": VGG_STYLE}
USUAL_CONTENT = {"mobilenet": "conv_pw_5_relu", "vgg16": "block4_conv2", "vgg19": "block4_conv2"}


class StyleTransferConfig(ModelConfig):
    """The settings of style-transfer."""

    backbone: BackboneName = Field(
        "mobilenet", description="the network: mobilenet, vgg16 or vgg19"
    )
    weights: Weights = Field("imagenet", description="imagenet, or random (seeded, untrained)")
    pooling: Pooling = Field("max", description="pooling of VGG: max or average")
    content_layer: str = Field(
        "", description="layer whose features are kept; empty: the default layer"
    )
    style_layers: dict[str, float] = Field(
        {},
        description="layers whose Gram matrices are matched, with weights; empty: the "
        "default layers",
    )
    # Content and style are relative errors: 1 is as wrong as a picture of nothing.
    content_weight: float = Field(1.0, ge=0, description="weight of the relative content error")
    style_weight: float = Field(100.0, ge=0, description="weight of the relative style error")
    variation_weight: float = Field(0.1, ge=0, description="weight of the total variation")
    style_mix: list[float] = Field([], description="weights of several styles, in order")
    masks: bool = Field(False, description="apply each style only where its style-mask is white")
    style_scale: float = Field(
        1.0, gt=0, le=8, description="size of the style relative to the content"
    )
    optimizer: Literal["lbfgs", "adam"] = Field("lbfgs", description="the optimizer: lbfgs or adam")
    spectrum: float = Field(
        0.5, ge=0, le=1, description="emphasis of L-BFGS on low frequencies; 0: plain pixels"
    )
    learning_rate: float = Field(
        4.0, gt=0, le=255, description="learning rate of Adam, in grey levels"
    )
    size: int = Field(
        448, ge=32, le=MAX_STYLE_SIZE, description="maximum length of the longer side, in pixels"
    )
    scales: int = Field(
        3,
        ge=1,
        le=8,
        description="number of sizes, from coarse to fine, each twice the previous one",
    )
    steps: int = Field(
        60,
        ge=1,
        le=10_000,
        description="number of steps at full size; half as many at each coarser size",
    )
    start: Literal["content", "style", "noise"] = Field(
        "content", description="the initial picture"
    )
    keep_colour: bool = Field(False, description="keep the colours of the content")
    preview_every: int = Field(
        30, ge=0, le=10_000, description="number of steps between previews; 0: none"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of noise and random weights")

    @property
    def chosen_content(self) -> str:
        """The layer whose features stay."""
        return self.content_layer or USUAL_CONTENT[self.backbone]

    @property
    def chosen_styles(self) -> dict[str, float]:
        """The layers of the style, with weights that sum to 1."""
        layers = self.style_layers or USUAL_STYLE[self.backbone]
        total = sum(layers.values())
        return {name: weight / total for name, weight in layers.items() if weight}

    @model_validator(mode="after")
    def _check(self) -> StyleTransferConfig:
        weights = [*self.style_layers.values(), *self.style_mix]
        if any(weight < 0 for weight in weights):
            raise ValueError("weights of layers and styles must not be negative")
        for what, given in (
            ("style_layers", self.style_layers.values()),
            ("style_mix", self.style_mix),
        ):
            if given and not any(given):
                raise ValueError(f"{what} must have a weight other than 0")
        if not self.content_weight + self.style_weight:
            raise ValueError("content_weight and style_weight are both 0: there is nothing to do")
        return self


def choose_sources(config: StyleTransferConfig, sources: tuple[str, ...]) -> tuple[str, ...]:
    """Photo and style, masks if asked for, and the backbone's weights unless they are random."""
    wanted = {"photo", "style", *(["style-mask"] if config.masks else [])}
    wanted |= {weights_source(config.backbone)} if config.weights == "imagenet" else set()
    return tuple(source for source in sources if source in wanted)


def name_scope(config: Any) -> str:
    """Pictures compete under the same backbone."""
    return f"{config.backbone}-random" if config.weights == "random" else str(config.backbone)


CLEAN = ("backbone", "weights", "masks")

SPEC = ModelSpec(
    name="style-transfer",
    title="the content of one picture in the style of others",
    description=(
        "Optimises pixels until they match the features of a photo and the Gram matrices of a "
        "style in a trained network (Gatys, Ecker and Bethge 2016)."
    ),
    config=StyleTransferConfig,
    sources=(
        "photo",
        "style",
        "style-mask",
        "mobilenet-imagenet",
        "vgg16-imagenet",
        "vgg19-imagenet",
    ),
    needs=choose_sources,
    stages={
        "clean": StageSpec(f"{PACKAGE}.data:clean", CLEAN),
        "validate": StageSpec(f"{PACKAGE}.expectations:EXPECTATIONS"),
        "train": StageSpec(f"{PACKAGE}.network:train", tuple(StyleTransferConfig.model_fields)),
        "evaluate": StageSpec(
            f"{PACKAGE}.evaluate:evaluate", tuple(StyleTransferConfig.model_fields)
        ),
    },
    # On the loss that was reached, never on taste; rounding to bytes moves it by less.
    gate=Gate(score=f"{PACKAGE}.score:score", metric="loss", direction="minimize", margin=0.001),
    predict=f"{PACKAGE}.predict:predict",
    serving=Serving(
        ("regrow.vision.gallery_serving",), "regrow.vision.gallery_serving:describe", ("pillow",)
    ),
    card=CARD,
    scope=name_scope,
    id_column="name",
    presets={
        "best": {},
        # The chapter's weights and number of steps; README.md says what they lack.
        "book": {
            "backbone": "vgg16",
            "content_weight": 0.1,
            "style_weight": 5.0,
            "variation_weight": 0.01,
            "size": 400,
            "scales": 1,
            "steps": 5,
        },
        "quick": {"size": 192, "scales": 2, "steps": 15},
        # Runs with no network and no mirror: a style as an untrained network sees it.
        "untrained": {"weights": "random", "size": 192, "scales": 2, "steps": 15},
    },
)
