"""What air-quality is: its settings with their reasons, and its specification."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.air_quality.card import CARD
from regrow.models.air_quality.columns import INPUTS, TIMESTAMP

PACKAGE = "regrow.models.air_quality"


class Variant(BaseModel):
    """One choice of inputs and network. The defaults suit the variant without PT08.S2."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: list[str] = Field(description="input columns of the network")
    calendar: bool = Field(False, description="add the hour and the weekday as inputs")
    degree: int = Field(1, ge=1, le=6, description="maximum degree of the orthogonal polynomials")
    hidden_units: int = Field(
        32, ge=0, le=1024, description="hidden units in parallel with the linear part; 0: none"
    )
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on the kernels")
    half_life_rows: float | None = Field(
        None,
        gt=0,
        description="number of rows after which the weight of a row halves; null: equal weights",
    )
    learning_rate: float = Field(
        0.01, gt=0, le=1, description="initial value; decreases with cosine decay"
    )
    epochs: int = Field(30, ge=1, le=10_000, description="number of epochs")
    min_steps: int = Field(
        2000,
        ge=0,
        le=10_000_000,
        description="minimum number of steps; adds epochs if there are few rows",
    )
    batch_size: int = Field(64, ge=1, le=65_536, description="rows per step")

    @field_validator("inputs")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = [name for name in names if name not in INPUTS]
        if unknown or not names:
            raise ValueError(f"unknown or no inputs {unknown}; there are {', '.join(INPUTS)}")
        if len(set(names)) < len(names):
            raise ValueError("an input is listed twice")
        return names


# Every choice below was made on chronological folds inside the first 70 % of the rows; the figures
# stand in README.md.
ALL_SENSORS = Variant(
    # Benzene was computed from PT08.S2: the other sensors add nothing but noise.
    inputs=["pt08_s2_nmhc"],
    # The root of benzene is a smooth function of log S2; a fourth degree reaches the rounding.
    degree=4,
    # A hidden layer fits no better and extrapolates worse.
    hidden_units=0,
    learning_rate=0.01,
)
WITHOUT_S2 = Variant(
    # NMHC(GT) is missing in nine tenths of the rows and in all recent ones.
    inputs=[name for name in INPUTS if name not in ("pt08_s2_nmhc", "nmhc_ug_m3")],
    # Traffic follows the clock, and the clock does not drift.
    calendar=True,
    hidden_units=32,
    weight_decay=0.01,
    # The sensors drift: a month ago (700 rows) tells half as much as today.
    half_life_rows=700,
    learning_rate=0.003,
)
# Of the recipe in Gulli and Pal's chapter: all twelve inputs, one hidden layer, batches of ten.
BOOK = Variant(
    inputs=list(INPUTS), hidden_units=8, learning_rate=0.001, epochs=20, batch_size=10, min_steps=0
)


class AirQualityConfig(ModelConfig):
    """The settings of air-quality."""

    recipe: Literal["best", "book"] = Field(
        "best", description="book reproduces the chapter's mistakes for comparison"
    )
    # Seasons matter: the test split must be later than all training rows.
    test_share: float = Field(
        0.3, gt=0, lt=0.9, description="share of rows at the end that form the test split"
    )
    validation_share: float = Field(
        0.15,
        gt=0,
        lt=0.9,
        description="share of the training rows at the end, used to choose a seed",
    )
    # Five show the spread of an initialisation and take a minute.
    seeds: int = Field(5, ge=1, le=100, description="number of trainings of each variant")
    # The same bits on every run, so that a resumed training can be compared.
    deterministic: bool = Field(True, description="bit-identical results in every run")
    variants: dict[str, Variant] = Field(
        {"all-sensors": ALL_SENSORS, "without-s2": WITHOUT_S2},
        min_length=1,
        description="variants by name; the first one is published",
    )


QUICK = {
    "seeds": 1,
    "variants": {
        "all-sensors": ALL_SENSORS.model_copy(update={"epochs": 5, "min_steps": 500}).model_dump(),
        "without-s2": WITHOUT_S2.model_copy(update={"epochs": 5, "min_steps": 500}).model_dump(),
    },
}

SPEC = ModelSpec(
    name="air-quality",
    title="benzene in street air, estimated from a gas multisensor device",
    description=(
        "Predicts the hourly benzene concentration C6H6(GT) in µg/m³ from the readings of a gas "
        "multisensor device and its neighbouring analysers (UCI Air Quality, Italy 2004-2005)."
    ),
    config=AirQualityConfig,
    sources=("air-quality",),
    stages={
        "clean": StageSpec(f"{PACKAGE}.data:clean"),
        "validate": StageSpec(f"{PACKAGE}.expectations:EXPECTATIONS"),
        "train": StageSpec(
            f"{PACKAGE}.network:train",
            (
                "recipe",
                "test_share",
                "validation_share",
                "seeds",
                "deterministic",
                "variants",
            ),
        ),
        "evaluate": StageSpec(f"{PACKAGE}.evaluate:evaluate", ("recipe", "test_share", "variants")),
    },
    # A thousandth of the champion's RMSE: less is noise between seeds.
    gate=Gate(
        score=f"{PACKAGE}.score:score",
        metric="rmse",
        margin=0.001,
        unit="µg/m³",
        split=("test_share",),
    ),
    predict=f"{PACKAGE}.predict:predict",
    predict_frame=f"{PACKAGE}.predict:predict_frame",
    serving=Serving((f"{PACKAGE}.columns", f"{PACKAGE}.serving"), f"{PACKAGE}.serving:describe"),
    card=CARD,
    read_inputs=f"{PACKAGE}.data:read_readings",
    check_file=f"{PACKAGE}.data:check_file",
    id_column=TIMESTAMP,
    presets={
        "best": {},
        "book": {
            "recipe": "book",
            "validation_share": 0.2,
            "variants": {"all-sensors": BOOK.model_dump()},
        },
        "quick": QUICK,
    },
)
