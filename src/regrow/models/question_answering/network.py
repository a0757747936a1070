"""The networks of question-answering, and their training."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.checks.profiles import profile_table
from regrow.models.question_answering.book import build_book
from regrow.models.question_answering.end_to_end_memory import EndToEndMemory
from regrow.models.question_answering.query_reduction import QueryReduction
from regrow.models.question_answering.table import read_questions
from regrow.models.question_answering.vocabulary import (
    Sizes,
    StoryVocabulary,
    collect_words,
    encode,
    measure_sizes,
    read_sizes,
)
from regrow.training.determinism import set_seed
from regrow.training.epochs import count_rows
from regrow.training.fit import FitResult, fit_groups
from regrow.training.inference import load_model
from regrow.training.plan import FitPlan
from regrow.training.seeds import describe_published, record_of, run_trainings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from regrow.models.question_answering.spec import NetworkConfig, QuestionAnsweringConfig
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext

EXAMPLE_QUESTIONS = 8
# Shorter stories cost so little that a group of their own saves nothing.
LEAST_SENTENCES = 8


def train(ctx: StageContext) -> dict[str, Any]:
    """Trains every network with every seed; publishes the lowest loss on validation stories."""
    config: QuestionAnsweringConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    frame = read_questions(table, split="train", forget=config.forget_answered)
    training, validation = split_stories(frame, config.validation_share)
    facts = run_trainings(
        ctx,
        {
            f"{name}/seed-{seed}": partial(_train_one, ctx, name, seed, training, validation)
            for name in config.networks
            for seed in range(config.seeds)
        },
        published=tuple(config.networks),
        enough=lambda run: 100 * (1 - run.more["val_accuracy"]) <= config.until_error_percent,
    )
    model = load_model(ctx.out / "model.keras")
    examples = encode_frame(validation.head(EXAMPLE_QUESTIONS), model)
    profile = profile_table(training, ["task", "sentences", "answer"])
    describe_published(ctx, examples, profile, model=model)
    return {**facts, "training_questions": len(training), "validation_questions": len(validation)}


def split_stories(frame: pd.DataFrame, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last stories of each task for validation: at least this share, and whole ones."""
    last = frame.groupby("task")["story_number"].transform("max")
    held_out = frame["story_number"] > (last * (1 - share)).astype(int)
    return frame[~held_out], frame[held_out]


def group_by_length(
    frame: pd.DataFrame, most: int, multiple: int
) -> list[tuple[int, pd.DataFrame]]:
    """Questions by the length of their stories: up to a quarter, half and all of `most` sentences.

    Args:
        multiple: each group but the longest has a multiple of so many rows, and the rest of it is
            padded further: XLA then compiles one batch's shape a group.

    Returns:
        The length and the rows of each group that has any, the shortest first.
    """
    frame = frame.sort_values("sentences", kind="stable")
    found, start = [], 0
    for length in (most // 4, most // 2):
        if length >= LEAST_SENTENCES:
            fitting = int((frame["sentences"] <= length).sum())
            end = start + (fitting - start) // multiple * multiple
            found.append((length, frame.iloc[start:end]))
            start = end
    found.append((most, frame.iloc[start:]))
    return [(length, rows) for length, rows in found if len(rows)]


def encode_frame(
    frame: pd.DataFrame, model: keras.Model, sentences: int | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """The inputs of a network for rows of the table; of at most so many sentences each."""
    sizes = read_sizes(model)
    return encode(
        list(frame["story"]),
        list(frame["question"]),
        model.get_layer("vocabulary"),
        replace(sizes, sentences=sentences or sizes.sentences),
    )


def build_network(
    config: NetworkConfig, vocabulary: StoryVocabulary, sizes: Sizes
) -> tuple[keras.Model, keras.Model]:
    """One network as two models with the same weights: to train, and to publish.

    Returns:
        The model to train takes stories of any number of sentences, unless it is the book's, and
        gives the answers' scores before the softmax, (batch, answers). The published one gives
        `answer`, (batch, answers), probabilities, and, unless it is the book's, `attention`,
        (batch, hops or layers, sentences).
    """
    inputs = _make_inputs(sizes, sizes.sentences)
    story, question = vocabulary(inputs["story"]), inputs["question"]
    outputs = {}
    if config.kind == "book":
        scores = build_book(story, question, len(vocabulary.words), len(vocabulary.answers))
        trained = keras.Model(inputs, scores)
    else:
        reader = _make_reader(config, vocabulary)
        scores, outputs["attention"] = reader(story, question)
        opened = _make_inputs(sizes, None)
        trained = keras.Model(opened, reader(opened["story"], opened["question"])[0])
    outputs["answer"] = keras.layers.Softmax(name="answer")(scores)
    return trained, keras.Model(inputs, outputs, name="question_answering")


def _make_inputs(sizes: Sizes, sentences: int | None) -> dict[str, Any]:
    shapes = {"story": (sentences, sizes.sentence_words), "question": (sizes.question_words,)}
    return {name: keras.Input(of, dtype="int32", name=name) for name, of in shapes.items()}


def _make_reader(config: NetworkConfig, vocabulary: StoryVocabulary) -> keras.layers.Layer:
    words, answers = len(vocabulary.words), vocabulary.answers
    if config.kind == "query-reduction":
        return QueryReduction(
            words,
            len(answers),
            size=config.size,
            depth=config.depth,
            gates=config.gates,
            projected=config.projected,
            dropout=config.dropout,
            name="reader",
        )
    assert config.kind == "memory"
    numbers = [vocabulary.number_words(answer) for answer in answers]
    return EndToEndMemory(
        words,
        [found[0] if len(found) == 1 else 0 for found in numbers],
        size=config.size,
        hops=config.hops,
        tying=config.tying,
        position_encoding=config.position_encoding,
        time_noise=config.time_noise,
        rectified=config.rectified,
        name="reader",
    )


def _train_one(
    ctx: StageContext,
    name: str,
    seed: int,
    training: pd.DataFrame,
    validation: pd.DataFrame,
    kept: Path,
) -> tuple[keras.Model, TrainingRecord]:
    config: QuestionAnsweringConfig = ctx.config
    network = config.networks[name]
    # TensorFlow's own determinism would switch XLA off; on a CPU these networks do not need it.
    set_seed(seed, deterministic=False)
    # Noise in time makes sentences older: without room they would fall out of the memory.
    sizes = measure_sizes(training, config.sentences, 0.25 if network.kind == "memory" else 0.0)
    vocabulary = StoryVocabulary(*collect_words(training), config.tasks, name="vocabulary")
    model, published = build_network(network, vocabulary, sizes)
    # An answer that training lacks has no number to compare with.
    known = validation[validation["answer"].isin(vocabulary.answers)]
    # The book's network reads stories of one length.
    multiple = len(training) + 1 if network.kind == "book" else network.batch_size
    data, held_out = (_encode_groups(part, published, multiple) for part in (training, known))
    phases = _list_phases(network)
    total = sum(epochs for epochs, _rate in phases.values())
    results: dict[str, FitResult] = {}
    for phase, (epochs, rate) in phases.items():
        if network.kind == "memory":
            model.get_layer("reader").linear.assign(float(phase == "linear"))
        steps = sum(math.ceil(count_rows(group) / network.batch_size) for group in data)
        _compile(model, _make_optimizer(network, rate, epochs, steps))
        before = sum(result.epochs_run for result in results.values())
        results[phase] = fit_groups(
            model,
            data,
            plan=_make_plan(network, epochs, seed),
            validation=held_out,
            checkpoint=kept / phase,
            on_epoch=partial(_report, ctx, f"{name} seed {seed}", before, total),
        )
    joined = _join(results)
    return published, record_of(joined, results, val_accuracy=joined.curves["val_accuracy"][-1])


def _compile(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )


def _encode_groups(
    frame: pd.DataFrame, model: keras.Model, multiple: int
) -> list[tuple[dict[str, Any], Any]]:
    """Inputs and answers of questions, in groups by the length of their stories."""
    vocabulary = model.get_layer("vocabulary")
    return [
        (encode_frame(rows, model, sentences), vocabulary.number_answers(rows["answer"]))
        for sentences, rows in group_by_length(frame, read_sizes(model).sentences, multiple)
    ]


def _list_phases(network: NetworkConfig) -> dict[str, tuple[int, float]]:
    """The epochs and the learning rate of each phase; a memory may begin without softmax."""
    phases = {}
    if network.kind == "memory" and network.linear_epochs:
        phases["linear"] = (network.linear_epochs, network.learning_rate / 2)
    return {**phases, "softmax": (network.epochs, network.learning_rate)}


def _make_plan(network: NetworkConfig, epochs: int, seed: int) -> FitPlan:
    return FitPlan(
        epochs,
        network.batch_size,
        seed,
        deterministic=False,
        enough_loss=network.enough_loss,
        # XLA joins the many small steps of the scan, and takes long to compile.
        jit_compile=network.kind == "query-reduction",
    )


def _report(
    ctx: StageContext, what: str, before: int, total: int, done: int, _values: dict[str, float]
) -> None:
    ctx.progress(what, before + done, total)


def _make_optimizer(
    network: NetworkConfig, rate: float, epochs: int, steps: int
) -> keras.optimizers.Optimizer:
    """The network's optimizer with its schedule; `steps` are those of an epoch."""
    schedules = keras.optimizers.schedules
    falling: Any = rate
    if network.schedule == "cosine":
        falling = schedules.CosineDecay(rate, steps * epochs)
    elif network.schedule != "constant":
        every = int(network.schedule) * steps
        falling = schedules.ExponentialDecay(rate, every, 0.5, staircase=True)
    options: dict[str, Any] = {"learning_rate": falling, "clipnorm": network.clip_norm}
    if network.kind == "query-reduction":
        return keras.optimizers.AdamW(weight_decay=network.weight_decay, **options)
    return keras.optimizers.get({"class_name": network.optimizer, "config": options})


def _join(phases: Mapping[str, FitResult]) -> FitResult:
    """The curves of a training's phases one after another."""
    names = next(iter(phases.values())).curves
    return FitResult(
        {name: [y for of in phases.values() for y in of.curves[name]] for name in names}
    )
