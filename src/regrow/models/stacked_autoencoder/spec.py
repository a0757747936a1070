"""What stacked-autoencoder is: its settings with their reasons, and its specification."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.stacked_autoencoder.card import CARD

PACKAGE = "regrow.models.stacked_autoencoder"


class StackedAutoencoderConfig(ModelConfig):
    """The settings of stacked-autoencoder."""

    # The last is the code. Wide layers below it cost little and halve the error of narrow ones.
    widths: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (256, 128, 8), min_length=1, max_length=8, description="units of the encoder layers"
    )
    # Without it 1,250 digits are learnt by heart; chosen on validation digits.
    noise: float = Field(
        0.3,
        ge=0,
        le=2,
        description="Gaussian noise on the input of each trained layer, "
        "relative to its standard deviation",
    )
    layer_epochs: int = Field(40, ge=1, le=10_000, description="number of epochs for each layer")
    tuning_epochs: int = Field(
        160, ge=1, le=10_000, description="number of epochs for all layers together"
    )
    batch_size: int = Field(32, ge=1, le=65_536, description="digits per step")
    learning_rate: float = Field(
        0.002, gt=0, le=1, description="initial value; decreases with cosine decay"
    )
    seeds: int = Field(5, ge=1, le=100, description="number of trainings for each method")
    deterministic: bool = Field(True, description="bit-identical results in every run")


SPEC = ModelSpec(
    name="stacked-autoencoder",
    title="encoding of handwritten digits as eight numbers",
    description=(
        "An autoencoder of dense layers. Each layer is trained separately on the codes of the "
        "previous one, then all are trained together. The results are compared with end-to-end "
        "training and PCA (scikit-learn's digits)."
    ),
    config=StackedAutoencoderConfig,
    sources=("digits",),
    stages={
        "clean": StageSpec("regrow.vision.digits:clean"),
        "validate": StageSpec("regrow.vision.digit_expectations:EXPECTATIONS"),
        "train": StageSpec(
            f"{PACKAGE}.network:train", tuple(StackedAutoencoderConfig.model_fields)
        ),
        "evaluate": StageSpec(f"{PACKAGE}.evaluate:evaluate", ("widths",)),
    },
    # A hundredth of the champion's error: less is noise between seeds.
    gate=Gate(score=f"{PACKAGE}.score:score", metric="mse", margin=0.01),
    predict=f"{PACKAGE}.predict:predict",
    serving=Serving(
        ("regrow.vision.picture_bytes", f"{PACKAGE}.serving"),
        f"{PACKAGE}.serving:describe",
        ("pillow",),
    ),
    card=CARD,
    id_column="digit_id",
    presets={"best": {}, "quick": {"seeds": 1, "layer_epochs": 5, "tuning_epochs": 20}},
)
