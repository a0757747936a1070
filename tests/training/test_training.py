"""Training: the same updates as Keras, and the same weights after any number of kills."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from regrow.base.errors import TrainingDiverged, UserError
from regrow.training.determinism import set_seed
from regrow.training.epochs import make_batches
from regrow.training.fit import CHECKPOINT, data_order, fit, fit_groups
from regrow.training.plan import FitPlan
from tests.conftest import REPOSITORY
from tests.support.commands import Command, Launcher, wait_for

ROWS = 203  # no multiple of the batch size: the last batch is smaller
PLAN = FitPlan(epochs=4, batch_size=16, seed=3, deterministic=False, checkpoint_every_s=0)


def make_data(outputs: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 6)).astype("float32")
    return x, (x @ rng.normal(size=(6, outputs)) + np.sin(x[:, :1])).astype("float32")


def defaults() -> dict[str, Any]:
    # XLA draws other random numbers for dropout, so that losses could not be compared.
    return {"optimizer": keras.optimizers.Adam(0.01), "loss": "mse", "jit_compile": False}


def make_model(**compile_options: Any) -> keras.Model:
    keras.utils.clear_session()  # layers' names count, and belong to a checkpoint's identity
    set_seed(1, deterministic=False)
    x = keras.Input((6,))
    h = keras.layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01))(x)
    h = keras.layers.BatchNormalization()(keras.layers.Dropout(0.2)(h))
    model = keras.Model(x, keras.layers.Dense(1)(h))
    model.compile(**(defaults() | compile_options))
    return model


def weights_of(model: keras.Model) -> list[Any]:
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables]


def assert_same(one: keras.Model, other: keras.Model, tolerance: float = 0.0) -> None:
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def train_by_hand(model: keras.Model, x: Any, y: Any, weight: Any = None) -> list[float]:
    """The same updates, one Keras step at a time."""
    losses = []
    for epoch in range(PLAN.epochs):
        order = data_order(ROWS, PLAN.seed, epoch)
        total = 0.0
        for start in range(0, ROWS, PLAN.batch_size):
            rows = order[start : start + PLAN.batch_size]
            take = lambda a, rows=rows: a[rows]  # noqa: E731
            batch = keras.tree.map_structure(take, (x, y))
            logs = model.train_on_batch(
                *batch, sample_weight=None if weight is None else weight[rows], return_dict=True
            )
            total += float(logs["loss"]) * len(rows)
        losses.append(total / ROWS)
    return losses


def test_other_threads_that_draw_random_numbers_change_no_weight() -> None:
    alone = make_model()
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _ in range(20):
            assert_same(alone, make_model())
    finally:
        done.set()
        thread.join()


def test_the_updates_are_those_of_keras() -> None:
    x, y = make_data()
    ours, theirs = make_model(), make_model()
    result = fit(ours, x, y, plan=PLAN)
    losses = train_by_hand(theirs, x, y)
    np.testing.assert_allclose(result.curves["loss"], losses, rtol=1e-5)
    assert_same(ours, theirs, 1e-5)
    assert result.steps == PLAN.epochs * -(-ROWS // PLAN.batch_size)


def test_sample_weights_and_clipping_are_those_of_keras() -> None:
    x, y = make_data()
    weight = np.linspace(0.1, 2, ROWS).astype("float32")
    options = {"optimizer": keras.optimizers.Adam(0.01, clipnorm=0.1)}
    ours, theirs = (
        make_model(**options),
        make_model(optimizer=keras.optimizers.Adam(0.01, clipnorm=0.1)),
    )
    result = fit(ours, x, y, plan=PLAN, sample_weight=weight)
    np.testing.assert_allclose(
        result.curves["loss"], train_by_hand(theirs, x, y, weight), rtol=1e-5
    )
    assert_same(ours, theirs, 1e-5)


def make_double() -> keras.Model:
    set_seed(1, deterministic=False)
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    shared = keras.layers.Dense(5, activation="tanh")
    joined = keras.layers.Concatenate()([shared(a), shared(b)])
    number = keras.layers.Dense(1, name="number")(joined)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(joined)
    model = keras.Model({"a": a, "b": b}, {"number": number, "kind": kind})
    model.compile(
        optimizer="adam",
        loss={"number": "mse", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"number": 1.0, "kind": 0.5},
        metrics={"kind": "accuracy"},
    )
    return model


def test_two_inputs_two_outputs_and_metrics() -> None:
    x, y = make_data()
    inputs = {"a": x, "b": x[::-1].copy()}
    targets = {"number": y, "kind": (y[:, 0] > 0).astype("int32")}
    ours, theirs = make_double(), make_double()
    result = fit(ours, inputs, targets, plan=PLAN, validation=(inputs, targets))
    np.testing.assert_allclose(
        result.curves["loss"], train_by_hand(theirs, inputs, targets), rtol=1e-5
    )
    assert_same(ours, theirs, 1e-5)
    assert {"val_loss", "val_kind_accuracy", "learning_rate"} <= result.curves.keys()


def test_validation_loss_is_keras_own() -> None:
    x, y = make_data()
    model = make_model()
    result = fit(model, x, y, plan=PLAN, validation=(x[:50], y[:50]))
    expected = model.evaluate(x[:50], y[:50], batch_size=16, verbose=0)
    assert result.curves["val_loss"][-1] == pytest.approx(expected, rel=1e-5)


def test_batches_are_of_one_group_in_the_order_in_which_they_fill() -> None:
    order = np.array([0, 3, 4, 1, 5, 6, 2, 7], dtype="int32")
    found = [(group, rows.tolist()) for group, rows in make_batches(order, [3, 5], 2)]
    assert found == [(1, [[0, 1]]), (0, [[0, 1]]), (1, [[2, 3]]), (0, [[2]]), (1, [[4]])]
    [(group, whole), (_, rest)] = make_batches(order, [8], 3)
    assert (group, whole.tolist(), rest.tolist()) == (0, [[0, 3, 4], [1, 5, 6]], [[2, 7]])
    assert [rows.tolist() for _, rows in make_batches(order[:2], [8], 3)] == [[[0, 3]]]


def make_open(features: int = 2) -> keras.Model:
    """A model of rows of any length: the mean over the steps, and a dense layer."""
    keras.utils.clear_session()
    set_seed(1, deterministic=False)
    x = keras.Input((None, features))
    model = keras.Model(
        x, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(4)(x)))
    )
    model.compile(**defaults())
    return model


def test_rows_of_two_lengths_are_trained_as_keras_would() -> None:
    rng = np.random.default_rng(0)
    groups = [
        (rng.normal(size=(rows, steps, 2)).astype("float32"), rng.normal(size=(rows, 1)))
        for rows, steps in ((37, 3), (50, 7))
    ]
    ours, theirs = make_open(), make_open()
    result = fit_groups(ours, groups, plan=PLAN, validation=groups)
    for epoch in range(PLAN.epochs):
        order = data_order(87, PLAN.seed, epoch)
        for group, batches in make_batches(order, [37, 50], PLAN.batch_size):
            for rows in batches:
                theirs.train_on_batch(groups[group][0][rows], groups[group][1][rows])
    assert_same(ours, theirs, 1e-5)
    assert result.steps == PLAN.epochs * 7
    losses = [ours.evaluate(*group, verbose=0) for group in groups]
    assert result.curves["val_loss"][-1] == pytest.approx(
        (37 * losses[0] + 50 * losses[1]) / 87, rel=1e-5
    )


def test_early_stopping_ends_with_the_best_weights() -> None:
    x, y = make_data()
    plan = FitPlan(epochs=200, batch_size=16, seed=3, patience=3, deterministic=False)
    noise = np.random.default_rng(5).normal(size=(40, 1)).astype("float32")
    model = make_model(optimizer=keras.optimizers.Adam(0.05))
    result = fit(model, x, y, plan=plan, validation=(x[:40], noise))
    assert result.stopped_early
    assert result.epochs_run == result.best_epoch + 1 + 3
    restored = model.evaluate(x[:40], noise, batch_size=16, verbose=0)
    assert restored == pytest.approx(min(result.curves["val_loss"]), rel=1e-5)


def test_a_loss_that_is_enough_ends_the_training() -> None:
    x, y = make_data()
    plan = replace(PLAN, epochs=50, enough_loss=0.5)
    result = fit(make_model(), x, y, plan=plan, validation=(x[:40], y[:40]))
    assert result.stopped_early
    *before, last = result.curves["val_loss"]
    assert last < 0.5 <= min(before)
    with pytest.raises(UserError, match=r"enough_loss=0\.5"):
        fit(make_model(), x, y, plan=plan)


def test_the_learning_rate_falls_on_a_plateau() -> None:
    x, y = make_data()
    plan = FitPlan(epochs=12, batch_size=16, seed=3, reduce_lr_patience=1, deterministic=False)
    noise = np.random.default_rng(5).normal(size=(40, 1)).astype("float32")
    result = fit(make_model(), x, y, plan=plan, validation=(x[:40], noise))
    rates = result.curves["learning_rate"]
    assert rates[0] == pytest.approx(0.01)
    assert rates[-1] < rates[0] / 2
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates))


def test_divergence_is_named_and_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    x, y = make_data()
    model = make_model(optimizer=keras.optimizers.SGD(1e18))
    with pytest.raises(TrainingDiverged) as raised:
        fit(model, x, y, plan=PLAN, checkpoint=tmp_path)
    assert "epoch" in str(raised.value)
    assert "learning rate" in str(raised.value)
    if (tmp_path / CHECKPOINT).exists():
        with np.load(tmp_path / CHECKPOINT) as arrays:
            assert all(np.isfinite(arrays[n]).all() for n in arrays.files if n.startswith("model/"))


def test_a_plan_that_contradicts_itself_is_refused() -> None:
    x, y = make_data()
    with pytest.raises(UserError, match="validation"):
        fit(make_model(), x, y, plan=FitPlan(epochs=1, batch_size=8, seed=0, patience=2))
    if keras.backend.backend() == "tensorflow":
        plan = FitPlan(epochs=1, batch_size=8, seed=0, jit_compile=True, deterministic=True)
        with pytest.raises(UserError, match="XLA"):
            fit(make_model(), x, y, plan=plan)


def interrupt(tmp_path: Path, epochs_done: int) -> None:
    """Trains to a given epoch and stops as a kill would, leaving the checkpoint."""
    x, y = make_data()

    class Killed(Exception):
        pass

    def stop(done: int, _values: Any) -> None:
        if done == epochs_done:
            raise Killed

    with pytest.raises(Killed):
        fit(make_model(), x, y, plan=PLAN, checkpoint=tmp_path, on_epoch=stop)


def test_a_resumed_training_is_an_uninterrupted_one(tmp_path: Path) -> None:
    x, y = make_data()
    whole = make_model()
    uninterrupted = fit(whole, x, y, plan=PLAN)
    interrupt(tmp_path, 2)
    resumed = make_model()
    result = fit(resumed, x, y, plan=PLAN, checkpoint=tmp_path)
    assert result.resumed_from == 2
    assert result.curves == uninterrupted.curves
    assert_same(resumed, whole)


@pytest.mark.parametrize("other", ["plan", "data", "model"])
def test_a_checkpoint_of_something_else_is_not_used(tmp_path: Path, other: str) -> None:
    interrupt(tmp_path, 2)
    x, y = make_data()
    plan = FitPlan(**{**PLAN.__dict__, "seed": 4}) if other == "plan" else PLAN
    y = y + 1 if other == "data" else y
    options = {"optimizer": keras.optimizers.Adam(0.02)} if other == "model" else {}
    result = fit(make_model(**options), x, y, plan=plan, checkpoint=tmp_path)
    assert result.resumed_from == 0


def test_a_damaged_checkpoint_means_from_the_start(tmp_path: Path) -> None:
    interrupt(tmp_path, 2)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-200])
    x, y = make_data()
    assert fit(make_model(), x, y, plan=PLAN, checkpoint=tmp_path).resumed_from == 0


CHILD = """
import json, sys
from pathlib import Path
import numpy as np, keras
from tests.training.test_training import make_data, make_model, weights_of
from regrow.training.determinism import set_seed
from regrow.training.fit import fit
from regrow.training.plan import FitPlan
set_seed(0)
x, y = make_data()
plan = FitPlan(60, 16, seed=3, patience=50, reduce_lr_patience=4, checkpoint_every_s=0)
model = make_model()
noise = np.random.default_rng(5).normal(size=(40, 1)).astype("float32")
out = Path(sys.argv[1])
slow = float(sys.argv[2])
def on_epoch(done, values):
    import time
    print(done, flush=True)
    time.sleep(slow)
result = fit(model, x, y, plan=plan, validation=(x[:40], noise), checkpoint=out, on_epoch=on_epoch)
np.savez(out / "final.npz", *weights_of(model))
(out / "curves.json").write_text(json.dumps(result.curves))
"""


@pytest.fixture(params=["tensorflow", pytest.param("jax", marks=pytest.mark.e2e)])
def starter(
    request: pytest.FixtureRequest, launcher: Launcher, tmp_path: Path
) -> Iterator[Launcher]:
    """Starts processes that train on a backend."""
    if request.param == keras.backend.backend():
        yield launcher
        return
    (tmp_path / "printed").mkdir()
    env = {**os.environ, "KERAS_BACKEND": request.param}
    other = Launcher(tmp_path / "printed", env, ["keras"])
    yield other
    other.close()


def start(starter: Launcher, out: Path, slow_s: float) -> Command:
    out.mkdir(exist_ok=True)
    return starter.start("-c", CHILD, out, str(slow_s), cwd=REPOSITORY)


def has_reached(process: Command, epoch: int) -> bool:
    assert process.poll() is None, process.stderr.read_text()
    *whole_lines, _rest = process.stdout.read_text().split("\n")
    return any(int(line) >= epoch for line in whole_lines)


@pytest.mark.slow
def test_killed_processes_end_with_the_same_bits(starter: Launcher, tmp_path: Path) -> None:
    """Early stopping, plateau, dropout and Adam are all in the middle of something at each kill."""
    whole = start(starter, tmp_path / "whole", 0).wait(240)
    assert whole.returncode == 0, whole.stderr
    killed = tmp_path / "killed"
    chance = random.Random(7)
    for until in (7, 41):
        process = start(starter, killed, 0.02)
        wait_for("the epoch", partial(has_reached, process, until), every_s=0.002)
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        assert not (killed / "final.npz").exists()
    last = start(starter, killed, 0).wait(240)
    assert last.returncode == 0, last.stderr
    assert int(last.stdout.split()[0]) > 41, "the last process must have resumed"
    with np.load(tmp_path / "whole/final.npz") as one, np.load(killed / "final.npz") as other:
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
    curves = [json.loads((tmp_path / n / "curves.json").read_text()) for n in ("whole", "killed")]
    assert curves[0] == curves[1]
