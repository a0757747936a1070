"""What image-similarity is: its settings with their reasons, and its specification."""

from __future__ import annotations

from pydantic import Field

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.image_similarity.card import CARD

PACKAGE = "regrow.models.image_similarity"


class ImageSimilarityConfig(ModelConfig):
    """The settings of image-similarity."""

    # Sixteen numbers tell ten digits apart with room for the ways to write each.
    embedding_size: int = Field(16, ge=2, le=512, description="length of the vector for a picture")
    filters: int = Field(
        32,
        ge=4,
        le=256,
        description="filters of the first convolution; the second has twice as many",
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout before the dense layers")
    # Distances have no unit of their own: the margin gives them one.
    margin: float = Field(1.0, gt=0, description="minimum distance between different digits")
    # Turned and shifted copies halve the validation loss: 1,250 digits are few.
    copies: int = Field(
        8, ge=0, le=64, description="number of altered copies of each training digit"
    )
    pairs: int = Field(
        30_000,
        ge=100,
        le=2_000_000,
        description="number of training pairs, half of them with the same digit",
    )
    epochs: int = Field(6, ge=1, le=1000, description="number of epochs")
    batch_size: int = Field(128, ge=1, le=65_536, description="pairs per step")
    learning_rate: float = Field(
        0.002, gt=0, le=1, description="initial value; decreases with cosine decay"
    )
    seeds: int = Field(5, ge=1, le=100, description="number of trainings")
    deterministic: bool = Field(True, description="bit-identical results in every run")


SPEC = ModelSpec(
    name="image-similarity",
    title="similarity of two handwritten digits",
    description=(
        "Siamese networks with shared weights map each picture to a vector; the Euclidean "
        "distance of two vectors measures how similar the digits are (contrastive loss; "
        "scikit-learn's digits)."
    ),
    config=ImageSimilarityConfig,
    sources=("digits",),
    stages={
        "clean": StageSpec("regrow.vision.digits:clean"),
        "validate": StageSpec("regrow.vision.digit_expectations:EXPECTATIONS"),
        "train": StageSpec(f"{PACKAGE}.network:train", tuple(ImageSimilarityConfig.model_fields)),
        "evaluate": StageSpec(f"{PACKAGE}.evaluate:evaluate"),
    },
    # Two of the ten thousand test pairs: less is chance.
    gate=Gate(
        score=f"{PACKAGE}.score:score", metric="accuracy", direction="maximize", margin=0.0002
    ),
    predict=f"{PACKAGE}.predict:predict",
    serving=Serving(
        ("regrow.vision.picture_bytes", f"{PACKAGE}.serving"),
        f"{PACKAGE}.serving:describe",
        ("pillow",),
    ),
    card=CARD,
    id_column="digit_id",
    presets={"best": {}, "quick": {"seeds": 1, "pairs": 6000, "epochs": 3, "copies": 2}},
)
