"""question-answering through its six stages, by its commands, on the shipped sample."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from regrow.models.question_answering.network import train
from regrow.models.question_answering.spec import (
    BookConfig,
    MemoryConfig,
    QueryReductionConfig,
    QuestionAnsweringConfig,
)
from regrow.store.context import StageContext
from regrow.training import fit as training
from tests.conftest import Regrow
from tests.support.commands import own_environment
from tests.support.servers import make_database
from tests.support.stages import make_context, make_entry

pytestmark = pytest.mark.slow

QUICK = ("run", "question-answering", "--sample", "--preset", "quick", "--no-prefect", "--json")
STORY = "Nora walked to the attic.\nFelix went to the porch.\nWhere is Nora?\nWhere is Felix?\n"


def test_six_stages_answers_and_scopes(regrow: Regrow, tmp_path: Path) -> None:
    done = regrow(*QUICK)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["stages"]) == 6
    assert summary["registered_name"] == "question-answering.qa01.sample"
    by_task, networks = summary["tables"]
    assert "MemN2N (paper)" in by_task["columns"]
    assert [row[0] for row in by_task["rows"]] == ["1 single-supporting-fact"]
    assert [row[0] for row in networks["rows"]] == ["query-reduction"]
    page = Path(summary["report"]).read_text()
    assert "Correct answers" in page
    assert "supporting facts" in page

    [status] = json.loads(regrow("status", "question-answering", "--json").stdout)
    assert set(status["scopes"]) == {"qa01.sample"}
    assert status["scopes"]["qa01.sample"]["action"] == "first"

    story = tmp_path / "story.txt"
    story.write_text(STORY)
    shown = regrow("ask", story, "--sample")  # the only champion there is answers
    assert shown.returncode == 0, shown.stderr
    assert "attic" in shown.stdout
    assert "porch" in shown.stdout
    assert "█" in shown.stdout
    options = ("--scope", "qa01", "--sample")
    found = json.loads(regrow("ask", story, "-q", "Where is Felix", *options, "--json").stdout)
    [answer] = found["answers"]
    assert answer["answer"] == "porch"
    assert np.array(answer["attention"])[-1].argmax() == 1
    refused = regrow("ask", story, "-q", "Where is Zoe?", *options)
    assert refused.returncode == 2
    assert "zoe" in refused.stderr
    assert "Traceback" not in refused.stderr
    predicted = json.loads(
        regrow("predict", "question-answering", story, *options, "--json").stdout
    )
    assert [row["answer"] for row in predicted["predictions"]] == ["attic", "porch"]

    # Typed line by line at a terminal; a word that is not known ends nothing.
    lines = STORY.splitlines()
    shown_text = type_lines([*lines[:2], "Where is Zoe?", lines[2]], tmp_path)
    refusal, answered = shown_text.index("zoe"), shown_text.rindex("attic")
    assert refusal < answered
    assert "Traceback" not in shown_text


def type_lines(lines: list[str], folder: Path) -> str:
    """What a terminal shows when lines are typed into `regrow ask`, and then Ctrl-D."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "regrow.cli", "ask", "--sample"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**own_environment(folder), "TERM": "dumb"},
        cwd=folder,
    )
    os.close(theirs)
    shown = b""
    with open(ours, "r+b", buffering=0) as terminal:
        for typed in [*(f"{line}\n" for line in lines), "\x04"]:
            while not shown.endswith(b"> "):  # the prompt
                shown += terminal.read(1)
            terminal.write(typed.encode())
            shown += terminal.read(1)
        with contextlib.suppress(OSError):  # the process has closed its end
            while True:
                shown += terminal.read(1)
    assert process.wait(60) == 0
    return shown.decode()


@pytest.mark.e2e
def test_a_sweep_runs_every_value_and_keeps_what_worked(regrow: Regrow, tmp_path: Path) -> None:
    make_database(tmp_path / "prefect")
    # The sample has no task 4: that run fails, the other is done all the same.
    options = ("sweep", "question-answering", "--sample", "--preset", "quick", "--json")
    done = regrow(*options, "--over", "tasks=[[4], [1]]", timeout_s=600)
    assert done.returncode == 2
    assert "the data contains no file for task 4" in done.stderr
    assert "Traceback" not in done.stderr
    table = json.loads(done.stdout)
    assert [row[0] for row in table["rows"]] == ["tasks=[1]", "tasks=[4]"]
    assert table["rows"][1][1] is None
    assert len(table["runs"]["tasks=[1]"]["stages"]) == 4
    published = table["published"]
    assert [row[0] for row in published["rows"]] == ["tasks=[1]"]
    assert published["rows"][0][1] < 50
    assert len(published["runs"]["tasks=[1]"]["stages"]) == 6


@pytest.mark.e2e
def test_a_sweep_on_a_dask_cluster_says_what_failed(regrow: Regrow, tmp_path: Path) -> None:
    make_database(tmp_path / "prefect")
    pytest.importorskip("prefect_dask", reason="the extra dask is not installed")
    options = ("sweep", "question-answering", "--sample", "--preset", "quick", "--dask", "local")
    done = regrow(*options, "--over", "tasks=[[4], [5]]", timeout_s=600)
    assert done.returncode == 2
    for task in (4, 5):
        assert f"the data contains no file for task {task}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("over", "said"),
    [("tasks=1", "a list"), ("tusks=[1]", "no such setting"), ("tasks=[[99]]", "no task 99")],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_starts(
    over: str, said: str, regrow: Regrow
) -> None:
    done = regrow("sweep", "question-answering", "--over", over)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def make_table(folder: Path) -> None:
    """Sixty stories of two sentences in the clean table's columns."""
    places, people = ("attic", "porch", "cellar"), ("nora", "felix")
    chance = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(1, 61):
        where = chance.choice(places, size=2)
        who = int(chance.integers(2))
        story = [f"{name} went to the {place}" for name, place in zip(people, where, strict=True)]
        rows.append(
            {
                "id": f"en/qa01/train/{number:07}",
                "task": 1,
                "split": "train",
                "story_number": number,
                "story": story,
                "question": f"where is {people[who]}",
                "answer": where[who],
                "supporting": [who],
                "new_from": 0,
                "sentences": 2,
                "supporting_max": who,
            }
        )
    pd.DataFrame(rows).to_parquet(folder / "table.parquet")


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    (tmp_path / "clean").mkdir()
    make_table(tmp_path / "clean")
    config = QuestionAnsweringConfig(
        networks={
            "query-reduction": QueryReductionConfig(size=8, depth=2, epochs=3, dropout=0.2),
            "memory": MemoryConfig(size=8, hops=2, linear_epochs=2, epochs=3, optimizer="sgd"),
            "book": BookConfig(epochs=2, schedule=1),
        },
        until_error_percent=0,
    )
    return make_context(config, tmp_path / "out", clean=make_entry(tmp_path / "clean"))


def weights_of(path: Path) -> list[Any]:
    model = keras.saving.load_model(path, compile=False)
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


@pytest.mark.e2e
def test_every_network_trains_and_an_interrupted_one_ends_alike(
    context: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = train(context)
    history = json.loads((context.out / "history.json").read_text())
    assert [run["run"] for run in history] == [
        "query-reduction/seed-0",
        "memory/seed-0",
        "book/seed-0",
    ]
    # The memory network's curves are those of the linear start and of what follows.
    assert [len(run["curves"]["loss"]) for run in history] == [3, 5, 2]
    assert facts["training_questions"] + facts["validation_questions"] == 60
    best = min(history, key=lambda run: run["val_loss"])
    assert facts["published_run"] == best["run"]

    clean = context.inputs["clean"]
    kept = tmp_path / "second"
    again = make_context(context.config, tmp_path / "again", scratch=kept, clean=clean)
    saved = training._Run.save

    def die_in_the_second_phase(run: Any) -> None:
        saved(run)
        if (
            run.checkpoint.path.parent.parts[-2:] == ("memory-seed-0", "softmax")
            and run.result.epochs_run == 2
        ):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # By this clock every epoch is due for a checkpoint; then the process ends as on Ctrl-C.
        patch.setattr(training._Run, "save", die_in_the_second_phase)
        patch.setattr("regrow.training.fit.time.monotonic", itertools.count(0.0, 2.0).__next__)
        with pytest.raises(KeyboardInterrupt):
            train(again)
    resumed = make_context(context.config, tmp_path / "resumed", scratch=kept, clean=clean)
    train(resumed)
    for name in ("query-reduction", "memory", "book"):
        first, second = (
            weights_of(of.out / "runs" / f"{name}-seed-0.keras") for of in (context, resumed)
        )
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)
