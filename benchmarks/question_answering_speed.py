"""Seconds until a network answers every validation question of bAbI's task 1 (10,000), as markdown.

REGROW_MIRROR=FOLDER python benchmarks/question_answering_speed.py

Each network is trained twice from the same weights in the same order: by regrow's epochs and by a
plain `model.fit`. Counted is the time from arrays in memory to the end of the first epoch without
an error on validation, compilation included.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.models.question_answering.network import (
    build_network,
    encode_frame,
    split_stories,
)
from regrow.models.question_answering.spec import MemoryConfig, QueryReductionConfig
from regrow.models.question_answering.table import read_questions
from regrow.models.question_answering.vocabulary import (
    StoryVocabulary,
    collect_words,
    measure_sizes,
)
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.training.epochs import Epochs
from regrow.training.fit import data_order

TARGET_S, SCRATCH_S = 15.0, 25.7
MOST_EPOCHS = 40
NETWORKS = {
    "query-reduction": QueryReductionConfig(depth=2, gates="scalar"),
    "query-reduction, as in best": QueryReductionConfig(),
    "memory": MemoryConfig(),
}


def read_task() -> Any:
    """Task 1's training questions, from download to clean table in a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        settings = read_environment({**os.environ, "REGROW_HOME": home})
        spec = get_spec("question-answering")
        pipeline = Pipeline(spec, make_request(spec), settings)
        download = pipeline.run_stage("download", {}, lambda *_: None)
        clean = pipeline.run_stage("clean", {"download": download}, lambda *_: None)
        return read_questions(Path(pipeline.entry(clean).file("table.parquet")), split="train")


def prepare(config: Any, frame: Any) -> tuple[keras.Model, Any, Any]:
    """A compiled network with the data to train and to check on."""
    keras.utils.set_random_seed(0)
    training, validation = split_stories(frame, 0.1)
    vocabulary = StoryVocabulary(*collect_words(training), [1], name="vocabulary")
    sizes = measure_sizes(training, 50, 0.25 if config.kind == "memory" else 0.0)
    model, published = build_network(config, vocabulary, sizes)
    rate, norm = config.learning_rate, config.clip_norm
    model.compile(
        optimizer=keras.optimizers.Adam(rate, clipnorm=norm),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    data = [
        (encode_frame(part, published), vocabulary.number_answers(part["answer"]))
        for part in (training, validation)
    ]
    return model, data[0], data[1]


def time_until_perfect(run_epoch: Callable[[int], float]) -> tuple[float, int]:
    """Seconds and epochs until `run_epoch(n)` returns a validation accuracy of 1."""
    started = time.perf_counter()
    for epoch in range(MOST_EPOCHS):
        if run_epoch(epoch) == 1.0:
            return time.perf_counter() - started, epoch + 1
    return float("nan"), MOST_EPOCHS


def measure(config: Any, frame: Any, *, plain: bool) -> tuple[float, int]:
    """One way of training one network."""
    model, data, held_out = prepare(config, frame)
    if plain:

        def run_plain(epoch: int) -> float:
            order = data_order(len(data[1]), 0, epoch)
            x = {name: array[order] for name, array in data[0].items()}
            batch = config.batch_size
            model.fit(x, data[1][order], batch_size=batch, shuffle=False, verbose=0)
            return float(model.evaluate(*held_out, verbose=0, return_dict=True)["accuracy"])

        return time_until_perfect(run_plain)

    def start() -> Callable[[int], float]:
        epochs = Epochs(model, [data], [held_out], batch_size=config.batch_size)

        def run_compiled(epoch: int) -> float:
            epochs.train(data_order(len(data[1]), 0, epoch))
            return epochs.evaluate()["accuracy"]

        return run_compiled

    return time_until_perfect(start())


def main() -> None:
    """Prints the table."""
    frame = read_task()
    print("| network | way | seconds to no error | epochs | times as fast |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name, config in NETWORKS.items():
        plain_s, plain_epochs = measure(config, frame, plain=True)
        ours_s, epochs = measure(config, frame, plain=False)
        print(f"| {name} | `model.fit` | {plain_s:.1f} | {plain_epochs} | 1.0 |")
        print(f"| {name} | regrow | {ours_s:.1f} | {epochs} | {plain_s / ours_s:.1f} |")
    print(f"\nTarget: {TARGET_S:g} s; a first version took {SCRATCH_S:g} s.")


if __name__ == "__main__":
    main()
