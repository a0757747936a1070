"""The train stage of a table: one network for each seed, the best on validation rows published."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd

from regrow.base.errors import DataError, UserError
from regrow.checks.profiles import profile_table
from regrow.tabular.inputs import TableInputs, compute_features, encode, encode_target, make_layer
from regrow.tabular.splitting import split_rows
from regrow.training.determinism import set_seed
from regrow.training.fit import fit
from regrow.training.plan import FitPlan
from regrow.training.seeds import describe_published, record_of, run_trainings

if TYPE_CHECKING:
    from regrow.layers.table_features import TableFeatures
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext
    from regrow.tabular.model import Columns, Task

GROUP = "network"
EXAMPLE_ROWS = 5
LOSSES = {
    "regression": "mse",
    "binary": "binary_crossentropy",
    "classes": "sparse_categorical_crossentropy",
}


def usual_optimizer(config: Any, steps: int) -> keras.optimizers.Optimizer:
    """Adam whose rate falls as a cosine, from `learning_rate` to zero at the last step."""
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    )


def train(model: Any, ctx: StageContext) -> dict[str, Any]:
    """Trains with every seed.

    Writes `model.keras`, `runs/`, `history.json`, `example.npz` and `profile.json`.

    Raises:
        DataError: the target has one value only, or there are too few rows.
        UserError: the network does not match the table.
    """
    columns: Columns = model.table
    parts = split_rows(
        pd.read_parquet(ctx.inputs["clean"].file("table.parquet")), columns, model.split
    )
    layer = make_layer(parts["train"], columns)
    rows = {name: encode(part, layer) for name, part in parts.items() if name != "test"}
    target = {name: encode_target(parts[name], columns, layer.labels) for name in rows}
    _check_target(target["train"], columns)
    features = {name: compute_features(layer, values) for name, values in rows.items()}
    known = target["validation"] >= 0 if layer.labels else np.isfinite(target["validation"])
    held_out = (features["validation"][known], target["validation"][known])
    facts = run_trainings(
        ctx,
        {
            f"{GROUP}/seed-{seed}": partial(
                _train_one, model, ctx, seed, layer, (features["train"], target["train"]), held_out
            )
            for seed in range(ctx.config.seeds)
        },
    )
    profile = profile_table(parts["train"], [*columns.inputs, columns.target])
    describe_published(ctx, rows["validation"][:EXAMPLE_ROWS], profile)
    return {**facts, **{f"{name}_rows": len(part) for name, part in parts.items()}}


def _train_one(
    model: Any,
    ctx: StageContext,
    seed: int,
    layer: TableFeatures,
    training: tuple[Any, Any],
    held_out: tuple[Any, Any],
    kept: Path,
) -> tuple[keras.Model, TrainingRecord]:
    config, task = ctx.config, model.table.task
    set_seed(seed, deterministic=config.deterministic)
    x, y = training
    offset, scale = (float(y.mean()), float(y.std())) if task == "regression" else (0.0, 1.0)
    core = build_network(model, layer, config)
    plan = FitPlan(
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=seed,
        patience=config.patience,
        deterministic=config.deterministic,
    )
    steps = math.ceil(len(y) / plan.batch_size) * plan.epochs
    core.compile(optimizer=model.optimizer(config, steps), loss=model.loss())
    result = fit(
        core,
        x,
        _as_column((y - offset) / scale),
        plan=plan,
        validation=(held_out[0], _as_column((held_out[1] - offset) / scale)),
        checkpoint=kept,
        on_epoch=lambda done, _values: ctx.progress(f"seed {seed}", done, config.epochs),
    )
    record = record_of(result, val_loss=min(result.curves["val_loss"]))
    return publish_network(layer, core, task, offset, scale), record


def build_network(model: Any, layer: TableFeatures, config: Any) -> keras.Model:
    """The network of a model, checked: from features (batch, width) to (batch, outputs).

    Raises:
        UserError: it is no Keras model, or its input or output has another shape.
    """
    inputs = TableInputs(
        keras.Input((layer.width,), name="features"), model.table.task, tuple(layer.labels)
    )
    core = model.network(inputs, config)
    expected = f"a keras.Model from (batch, {layer.width}) to (batch, {inputs.outputs})"
    received = type(core).__name__
    if isinstance(core, keras.Model):
        shapes = [tuple(core.input_shape), tuple(core.output_shape)]
        received = f"a model from {shapes[0]} to {shapes[1]}"
        if shapes == [(None, layer.width), (None, inputs.outputs)]:
            return core
    raise UserError(
        "the network does not match the table",
        where="the network method of the model",
        received=received,
        expected=expected,
        remedies=["return keras.Model(inputs.features, inputs.head(x))"],
    )


def publish_network(
    layer: TableFeatures, core: keras.Model, task: Task, offset: float, scale: float
) -> keras.Model:
    """The model from coded rows to answers in the target's unit."""
    rows = keras.Input((layer.columns,), name="rows")
    answers = core(layer(rows))
    if task == "regression":
        answers = keras.layers.Rescaling(scale, offset, name="unit")(answers)
    return keras.Model(rows, answers)


def _as_column(values: Any) -> Any:
    return np.asarray(values, dtype="float32").reshape(-1, 1)


def _check_target(target: Any, columns: Columns) -> None:
    if columns.task == "regression" and not target.std() > 0:
        raise DataError(
            f"the target {columns.target!r} has the same value in every training row",
            where=f"the training rows, column {columns.target}",
            received=f"{target[0]:g} in {len(target):,} rows",
            expected="different values",
        )
