"""What sentence-vectors is: its settings with their reasons, and its specification."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.sentence_vectors.card import CARD

PACKAGE = "regrow.models.sentence_vectors"


class PositionalConfig(ModelConfig):
    """An autoencoder with a matrix for each place, and a bag of what the words mean."""

    kind: Literal["positional"] = "positional"
    order_size: int = Field(512, ge=2, le=4096, description="dimensions that encode word order")
    topic_size: int = Field(1024, ge=2, le=4096, description="dimensions that encode the topic")
    theme_size: int = Field(512, ge=2, le=2048, description="dimensions of the word themes")
    decoder_size: int = Field(
        256, ge=2, le=4096, description="filters of the decoder's convolution"
    )
    context_words: int = Field(
        24, ge=1, le=1024, description="number of context words of the document to predict"
    )
    context_size: int = Field(
        256, ge=2, le=4096, description="units of the layer that predicts the context words"
    )
    context_weight: float = Field(
        0.1,
        ge=0,
        le=100,
        description="weight of the context loss relative to the reconstruction loss",
    )
    epochs: int = Field(4, ge=1, le=10_000, description="number of epochs")
    batch_size: int = Field(128, ge=1, le=65_536, description="sentences per step")
    learning_rate: float = Field(
        0.001, gt=0, le=10, description="initial value for Adam; decreases to zero"
    )


class BookConfig(ModelConfig):
    """The autoencoder of Gulli and Pal (2017), chapter 7."""

    kind: Literal["book"] = "book"
    latent: int = Field(512, ge=2, le=4096, description="length of the sentence vector")
    optimizer: Literal["sgd", "adam"] = Field("sgd", description="optimizer; the book uses sgd")
    learning_rate: float = Field(
        0.01, gt=0, le=10, description="initial value; 0.01 is Keras's default for SGD"
    )
    epochs: int = Field(10, ge=1, le=10_000, description="number of epochs")
    batch_size: int = Field(64, ge=1, le=65_536, description="sentences per step")


NetworkConfig = Annotated[PositionalConfig | BookConfig, Field(discriminator="kind")]


class SentenceVectorsConfig(ModelConfig):
    """The settings of sentence-vectors."""

    network: NetworkConfig = Field(PositionalConfig(), description="the autoencoder")
    word_vectors: Literal["glove", "corpus"] = Field(
        "glove",
        description="GloVe vectors if the file is available, or vectors made from the corpus",
    )
    # The chapter's. 93 % of the words of unseen sentences are among them.
    vocabulary_size: int = Field(
        5000, ge=100, le=100_000, description="number of words, including PAD and UNK"
    )
    # The chapter's: 2 % of sentences are longer, and are cut.
    length: int = Field(50, ge=4, le=500, description="maximum number of words read per sentence")
    validation_share: float = Field(0.05, gt=0, le=0.5, description="share of the documents")
    training_share: float = Field(
        1.0, gt=0, le=1, description="share of the sentences, chosen at random"
    )
    seeds: int = Field(1, ge=1, le=100, description="number of trainings")


TRAINING = (
    "network",
    "word_vectors",
    "vocabulary_size",
    "length",
    "validation_share",
    "training_share",
    "seeds",
)


SPEC = ModelSpec(
    name="sentence-vectors",
    title="vectors for sentences of Reuters news",
    description=(
        "An autoencoder for the sentences of Reuters-21578: the chapter's bidirectional LSTM, "
        "and a network whose vectors are suited to finding topics and similar sentences."
    ),
    config=SentenceVectorsConfig,
    sources=("reuters-21578", "punkt-tab", "glove-6b-50d"),
    stages={
        "clean": StageSpec(f"{PACKAGE}.data:clean"),
        "validate": StageSpec(f"{PACKAGE}.expectations:EXPECTATIONS"),
        "train": StageSpec(f"{PACKAGE}.network:train", TRAINING),
        "evaluate": StageSpec(f"{PACKAGE}.evaluate:evaluate", TRAINING),
    },
    # A thousandth of the 3,744 topics of the test documents is less than seeds differ by.
    gate=Gate(
        score=f"{PACKAGE}.score:score", metric="micro_f1", direction="maximize", margin=0.001
    ),
    predict=f"{PACKAGE}.predict:predict",
    serving=Serving((f"{PACKAGE}.serving",), f"{PACKAGE}.serving:describe", ("nltk",)),
    card=CARD,
    id_column="id",
    presets={
        "best": {},
        # An epoch takes half an hour on two cores: for a GPU.
        "book": {"network": BookConfig().model_dump()},
        "small": {
            "network": BookConfig(latent=64, epochs=3).model_dump(),
            "training_share": 0.2,
        },
    },
)
