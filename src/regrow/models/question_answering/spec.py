"""What question-answering is: its settings with their reasons, and its specification."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from regrow.base.spec import Gate, ModelConfig, ModelSpec, Serving, StageSpec
from regrow.models.question_answering.card import CARD
from regrow.models.question_answering.tasks import TASKS, Edition

PACKAGE = "regrow.models.question_answering"


class Fitting(ModelConfig):
    """How a network is trained."""

    epochs: int = Field(40, ge=1, le=10_000, description="number of epochs")
    batch_size: int = Field(128, ge=1, le=65_536, description="questions per step")
    learning_rate: float = Field(0.005, gt=0, le=10, description="initial value")
    schedule: Literal["cosine", "constant"] | int = Field(
        "cosine", description="schedule of the learning rate; a number N halves it every N epochs"
    )
    clip_norm: float | None = Field(5.0, gt=0, description="maximum gradient norm of the mean loss")
    # About one error in a thousand; most tasks are there after a quarter of the epochs.
    enough_loss: float | None = Field(
        0.001, gt=0, description="validation loss at which training stops"
    )


class QueryReductionConfig(Fitting):
    """A query-reduction network (Seo and others 2016)."""

    kind: Literal["query-reduction"] = "query-reduction"
    epochs: int = Field(60, ge=1, le=10_000, description="number of epochs")
    # At half the rate task 17 leaves its plateau with some seeds only.
    learning_rate: float = Field(0.01, gt=0, le=10, description="initial value")
    size: int = Field(50, ge=2, le=1024, description="length of the vectors")
    # Two layers combine any two sentences; the third is for the longest chains, in task 18.
    depth: int = Field(3, ge=1, le=8, description="number of layers")
    # Vectors fit positions, sizes and paths, where single numbers stay at 10 to 35 % of errors.
    gates: Literal["scalar", "vector"] = Field(
        "vector", description="one number per gate, or one per dimension"
    )
    projected: bool = Field(False, description="compare sentence and query after projections")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout of sentence and answer vectors")
    # Without it task 17 has 4 % of errors on validation, task 19 has 7 %; with it .3 and 2.
    weight_decay: float = Field(0.1, ge=0, le=10, description="decoupled weight decay (AdamW)")


class MemoryConfig(Fitting):
    """An End-To-End Memory Network (Sukhbaatar and others 2015)."""

    kind: Literal["memory"] = "memory"
    size: int = Field(50, ge=2, le=1024, description="length of the vectors")
    hops: int = Field(3, ge=1, le=8, description="number of times that the memory is read")
    tying: Literal["adjacent", "layer-wise"] = Field(
        "adjacent", description="how embeddings are shared"
    )
    position_encoding: bool = Field(True, description="encode the order of words")
    time_noise: float = Field(
        0.1, ge=0, lt=1, description="share of empty memories added in training"
    )
    rectified: bool = Field(False, description="apply a ReLU to half of the vector between hops")
    # On induction (task 16) the loss stands still for some thirty epochs before it falls.
    linear_epochs: int = Field(
        40, ge=0, le=10_000, description="epochs without softmax, at half the learning rate"
    )
    optimizer: Literal["adam", "sgd"] = Field("adam", description="optimizer; the paper uses sgd")
    epochs: int = Field(60, ge=1, le=10_000, description="number of epochs with softmax")
    batch_size: int = Field(64, ge=1, le=65_536, description="questions per step")
    learning_rate: float = Field(0.01, gt=0, le=10, description="initial value")


class BookConfig(Fitting):
    """The network of Gulli and Pal (2017), chapter 7."""

    kind: Literal["book"] = "book"
    optimizer: Literal["rmsprop", "adam"] = Field(
        "rmsprop", description="optimizer; the book uses rmsprop"
    )
    epochs: int = Field(50, ge=1, le=10_000, description="number of epochs")
    batch_size: int = Field(32, ge=1, le=65_536, description="questions per step")
    learning_rate: float = Field(0.001, gt=0, le=10, description="initial value")
    schedule: Literal["cosine", "constant"] | int = Field(
        "constant", description="schedule of the learning rate"
    )
    clip_norm: float | None = Field(None, gt=0, description="maximum gradient norm")
    enough_loss: float | None = Field(
        None,
        gt=0,
        description="validation loss at which training stops; the book trains all epochs",
    )


NetworkConfig = Annotated[
    QueryReductionConfig | MemoryConfig | BookConfig, Field(discriminator="kind")
]


class QuestionAnsweringConfig(ModelConfig):
    """The settings of question-answering."""

    tasks: list[int] = Field(
        [1],
        min_length=1,
        max_length=20,
        description="bAbI tasks; a single network learns all of them",
    )
    edition: Edition = Field("en-10k", description="10,000 or 1,000 training questions per task")
    forget_answered: bool = Field(
        False, description="forget the story after every question, as in the chapter"
    )
    networks: dict[str, NetworkConfig] = Field(
        {"query-reduction": QueryReductionConfig()},
        min_length=1,
        description="networks by name; the best one on validation data is published",
    )
    # The paper's; no task but 3 and 5 has one story in a hundred that is longer.
    sentences: int = Field(
        50, ge=1, le=1000, description="maximum number of sentences read, from the end of the story"
    )
    validation_share: float = Field(0.1, gt=0, lt=1, description="share of the training stories")
    # Another network rarely halves so few errors, and costs as much again.
    until_error_percent: float = Field(
        0.5,
        ge=0,
        le=100,
        description="validation error in percent at which no further networks are trained",
    )
    seeds: int = Field(1, ge=1, le=100, description="number of trainings of each network")

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: list[int]) -> list[int]:
        unknown = [task for task in tasks if task not in TASKS]
        if unknown:
            raise ValueError(f"no task {unknown[0]}; valid tasks are 1 to {len(TASKS)}")
        return sorted(set(tasks))

    @field_validator("networks")
    @classmethod
    def _named(cls, networks: dict[str, Any]) -> dict[str, Any]:
        wrong = [name for name in networks if not name.replace("-", "").isalnum()]
        if wrong:
            raise ValueError(
                f"a network name must consist of letters, digits and hyphens; received {wrong[0]!r}"
            )
        return networks


def name_scope(config: ModelConfig) -> str:
    """Networks that learned the same tasks compete with each other: "" all, or "qa01-qa02".

    Those that forget stories are tested on other questions, so they have champions of their own.
    """
    assert isinstance(config, QuestionAnsweringConfig)
    every = len(config.tasks) == len(TASKS)
    parts = [] if every else [f"qa{task:02}" for task in config.tasks]
    return "-".join([*parts, *(["as-read"] if config.forget_answered else [])])


def _dump(**networks: NetworkConfig) -> dict[str, Any]:
    return {name.replace("_", "-"): of.model_dump() for name, of in networks.items()}


ALL_TASKS = list(TASKS)
# In the paper the loss is a sum over 32 questions; here it is their mean.
PAPER = MemoryConfig(
    size=20,
    optimizer="sgd",
    learning_rate=0.32,
    clip_norm=1.25,
    schedule=25,
    epochs=100,
    batch_size=32,
    enough_loss=None,
)
QUICK = QueryReductionConfig(depth=2, gates="scalar", epochs=15, batch_size=32, learning_rate=0.005)
# What the chapter's network needs to learn task 1: more steps, at a rate that falls.
LONGER = BookConfig(
    optimizer="adam",
    learning_rate=0.005,
    schedule="cosine",
    epochs=180,
    batch_size=64,
    clip_norm=1.0,
)
TRAINING = (
    "tasks",
    "forget_answered",
    "networks",
    "sentences",
    "validation_share",
    "seeds",
    "until_error_percent",
)

SPEC = ModelSpec(
    name="question-answering",
    title="question answering on short stories",
    description=(
        "Reads the stories of the bAbI tasks and answers questions about them: query-reduction "
        "networks, End-To-End Memory Networks, and the single-hop network of the chapter."
    ),
    config=QuestionAnsweringConfig,
    sources=("babi",),
    stages={
        "clean": StageSpec(f"{PACKAGE}.data:clean", ("tasks", "edition")),
        "validate": StageSpec(f"{PACKAGE}.expectations:EXPECTATIONS"),
        "train": StageSpec(f"{PACKAGE}.network:train", TRAINING),
        "evaluate": StageSpec(f"{PACKAGE}.evaluate:evaluate", ("edition", *TRAINING)),
    },
    # One of a thousand test questions of a task: less is chance.
    gate=Gate(score=f"{PACKAGE}.score:score", metric="error_percent", margin=0.001, unit="%"),
    predict=f"{PACKAGE}.predict:predict",
    serving=Serving((f"{PACKAGE}.serving",), f"{PACKAGE}.serving:describe"),
    card=CARD,
    scope=name_scope,
    id_column="id",
    presets={
        "best": {},
        "compare": {
            "networks": _dump(
                query_reduction=QueryReductionConfig(),
                memory=MemoryConfig(),
                projected=QueryReductionConfig(projected=True),
            ),
            "seeds": 3,
        },
        "memory": {"networks": _dump(memory=MemoryConfig())},
        # A tenth of the questions: gates with a number for each of the vector's overfit them.
        "joint": {
            "tasks": ALL_TASKS,
            "edition": "en",
            "networks": _dump(query_reduction=QueryReductionConfig(gates="scalar")),
            "seeds": 3,
        },
        "paper": {"networks": _dump(memory=PAPER)},
        "book": {"networks": _dump(book=BookConfig())},
        "book-longer": {"networks": _dump(book=LONGER)},
        "book-as-read": {"networks": _dump(book=BookConfig()), "forget_answered": True},
        "quick": {"networks": _dump(query_reduction=QUICK)},
    },
)
