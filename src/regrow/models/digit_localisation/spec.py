"""What digit-localisation is: its settings with their reasons, and its specification."""

from __future__ import annotations

from pydantic import Field

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.digit_localisation.card import CARD

PACKAGE = "regrow.models.digit_localisation"


class DigitLocalisationConfig(ModelConfig):
    """The settings of digit-localisation."""

    training_scenes: int = Field(
        20_000, ge=100, le=1_000_000, description="number of training scenes"
    )
    validation_scenes: int = Field(
        2000, ge=100, le=100_000, description="number of scenes for choosing a seed"
    )
    test_scenes: int = Field(4000, ge=100, le=100_000, description="number of test scenes")
    filters: int = Field(16, ge=4, le=128, description="filters of the first convolution")
    dropout: float = Field(
        0.3, ge=0, lt=1, description="dropout before the layers that classify the digit"
    )
    # One hundredth of the canvas off costs as much as a twentieth of the overlap.
    box_weight: float = Field(
        2.0, gt=0, le=100, description="weight of the box loss relative to the digit loss"
    )
    epochs: int = Field(8, ge=1, le=1000, description="number of epochs")
    batch_size: int = Field(128, ge=1, le=65_536, description="scenes per step")
    learning_rate: float = Field(
        0.003, gt=0, le=1, description="initial value; decreases with cosine decay"
    )
    seeds: int = Field(5, ge=1, le=100, description="number of trainings")
    deterministic: bool = Field(True, description="bit-identical results in every run")


SCENES = ("training_scenes", "validation_scenes", "test_scenes")
QUICK = {"seeds": 1, "epochs": 2, "training_scenes": 3000, "test_scenes": 1000}

SPEC = ModelSpec(
    name="digit-localisation",
    title="classification and localisation of a handwritten digit",
    description=(
        "One network with two outputs, the digit and its bounding box, for handwritten digits "
        "that were scaled and placed on a larger canvas together with fragments of other digits "
        "(scikit-learn's digits)."
    ),
    config=DigitLocalisationConfig,
    sources=("digits",),
    stages={
        "clean": StageSpec(f"{PACKAGE}.data:clean", SCENES),
        "validate": StageSpec(f"{PACKAGE}.expectations:EXPECTATIONS"),
        "train": StageSpec(
            f"{PACKAGE}.network:train",
            tuple(name for name in DigitLocalisationConfig.model_fields if name not in SCENES),
        ),
        "evaluate": StageSpec(f"{PACKAGE}.evaluate:evaluate"),
    },
    # A scene counts as right when the digit is and its box overlaps by half or more; one of the
    # thousand test scenes is chance.
    gate=Gate(score=f"{PACKAGE}.score:score", metric="found", direction="maximize", margin=0.001),
    predict=f"{PACKAGE}.predict:predict",
    serving=Serving(
        ("regrow.vision.picture_bytes", f"{PACKAGE}.serving"),
        f"{PACKAGE}.serving:describe",
        ("pillow",),
    ),
    card=CARD,
    id_column="scene_id",
    presets={"best": {}, "quick": QUICK},
)
