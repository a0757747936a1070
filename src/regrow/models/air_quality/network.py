"""The networks of air-quality, and their training.

The saved model takes raw readings and answers in µg/m³: choosing columns, logarithms, standardising
and imputing are layers inside it, fitted on training rows alone.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.base.errors import DataError
from regrow.checks.profiles import profile_table
from regrow.layers import (
    Calendar,
    FillMissing,
    Logarithm,
    OrthogonalPolynomial,
    SelectColumns,
    Squared,
)
from regrow.models.air_quality.columns import FEATURES, INPUTS, TARGET
from regrow.models.air_quality.table import Array, Rows, read_rows, refuse_constant, split
from regrow.training.determinism import set_seed
from regrow.training.fit import FitResult, falling_adam, fit
from regrow.training.inference import answer
from regrow.training.plan import FitPlan
from regrow.training.seeds import describe_published, record_of, run_trainings

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.air_quality.spec import AirQualityConfig, Variant
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext

# Concentrations and the sensors' responses vary by factors; temperature and humidity by amounts.
LINEAR = ("temperature_c", "relative_humidity_pct")
EXAMPLE_ROWS = 5


def train(ctx: StageContext) -> dict[str, Any]:
    """Trains every variant with every seed; publishes the first variant's best on validation rows.

    Each training is done twice: on all but the validation rows, to choose a seed and draw curves,
    and then on all training rows, since the latest rows tell most about tomorrow. The preset `book`
    does it once, as the chapter does.
    """
    config: AirQualityConfig = ctx.config
    book = config.recipe == "book"
    rows = read_rows(ctx.inputs["clean"].file("table.parquet"), book=book)
    training, _test = split(rows, config.test_share)
    border = int(len(training) * (1 - config.validation_share))
    refuse_constant(training[:border], config.variants, book=book)
    facts = run_trainings(
        ctx,
        {
            f"{name}/seed-{seed}": partial(_train_one, ctx, f"{name}/seed-{seed}", seed, rows)
            for name in config.variants
            for seed in range(config.seeds)
        },
    )
    examples = training.x[np.linspace(0, len(training) - 1, EXAMPLE_ROWS).astype(int)]
    describe_published(ctx, examples, _profile(training))
    return {**facts, "training_rows": len(training)}


def _train_one(
    ctx: StageContext, label: str, seed: int, rows: Rows, kept: Path
) -> tuple[keras.Model, TrainingRecord]:
    """One training, or what is left to do of it after a kill."""
    config: AirQualityConfig = ctx.config
    variant = config.variants[label.partition("/")[0]]
    training, _test = split(rows, config.test_share)
    border = int(len(training) * (1 - config.validation_share))
    book = config.recipe == "book"
    results: dict[str, FitResult] = {}
    phases = {"selection": training[:border], "final": training}
    if book:
        del phases["final"]  # the chapter keeps what `validation_split` left
    for phase, part in phases.items():
        keras.utils.clear_session()
        set_seed(seed, deterministic=config.deterministic)
        # The chapter fits its scaler on all rows, those of the test split included.
        prepare, finish = build_ends(rows if book else part, variant, book=book)
        core = build_core(prepare.output_shape[-1], variant, book=book)
        epochs = count_epochs(variant, len(part))
        results[phase] = _fit(
            core,
            prepare,
            finish,
            part,
            training[border:] if phase == "selection" else None,
            variant,
            FitPlan(epochs, variant.batch_size, seed, deterministic=config.deterministic),
            kept / phase,
            partial(_report, ctx, f"{label} {phase}", epochs),
            book=book,
        )
    raw = keras.Input((len(FEATURES),), name="readings")
    model = keras.Model(raw, finish(core(prepare(raw))), name="air_quality")
    return model, record_of(results["selection"], results)


def _report(ctx: StageContext, what: str, total: int, done: int, _values: Any) -> None:
    ctx.progress(what, done, total)


def count_epochs(variant: Variant, rows: int) -> int:
    """Passes over the rows: as many as asked for, more where they make too few steps."""
    return max(variant.epochs, math.ceil(variant.min_steps / math.ceil(rows / variant.batch_size)))


def _dependent(rows: Rows, variant: Variant, error: Exception) -> DataError:
    return DataError(
        "the polynomials of the inputs depend on one another, so they cannot be fitted",
        where=f"the first {len(rows):,} training rows, up to {rows.time.max()}",
        received=f"degree {variant.degree} of {', '.join(variant.inputs)}: {error}",
        expected="inputs with many different values, none of which follows from the others",
        remedies=[
            "leave one of them out: --set 'variants.NAME.inputs=[...]'",
            "or lower the degree: --set variants.NAME.degree=1",
        ],
    )


def build_ends(rows: Rows, variant: Variant, *, book: bool) -> tuple[keras.Model, keras.Model]:
    """What stands before and after the trained part, fitted on `rows`.

    Returns:
        `prepare`, raw readings (batch, 14) to features (batch, features), and `finish`, the trained
        part's answer (batch, 1) to benzene in µg/m³ (batch, 1).
    """
    raw = keras.Input((len(FEATURES),))
    x = SelectColumns([FEATURES.index(name) for name in variant.inputs])(raw)
    if book:
        x = FillMissing(-200.0)(x)
    else:
        x = Logarithm([n for n, name in enumerate(variant.inputs) if name not in LINEAR])(x)
    if variant.calendar:
        clock = SelectColumns([FEATURES.index("hour"), FEATURES.index("weekday")])(raw)
        x = keras.layers.Concatenate()([x, Calendar()(clock)])
    seen = answer(keras.Model(raw, x), rows.x).astype("float64")
    mean, variance = _moments(seen)
    x = keras.layers.Normalization(mean=mean, variance=variance)(x)
    x = FillMissing(0.0)(x)
    if variant.degree > 1:
        polynomial = OrthogonalPolynomial(variant.degree)
        try:
            polynomial.adapt(np.nan_to_num((seen - mean) / np.sqrt(variance)))
        except np.linalg.LinAlgError as error:
            raise _dependent(rows, variant, error) from error
        x = polynomial(x)
    prepare = keras.Model(raw, x, name="prepare")

    target = rows.y if book else np.sqrt(rows.y)
    scaled = keras.Input((1,))
    y = keras.layers.Rescaling(float(target.std()), float(target.mean()))(scaled)
    if not book:
        # The root is what the network learns: its spread is even where the concentration's is not.
        y = Squared()(keras.layers.ReLU()(y))
    return prepare, keras.Model(scaled, y, name="finish")


def build_core(features: int, variant: Variant, *, book: bool) -> keras.Model:
    """The trained part: (batch, features) to the scaled target (batch, 1)."""
    decay = keras.regularizers.L2(variant.weight_decay) if variant.weight_decay else None
    x = keras.Input((features,))
    parts = [x]
    if variant.hidden_units:
        hidden = keras.layers.Dense(
            variant.hidden_units, activation="relu", kernel_regularizer=decay
        )(x)
        # The chapter has no way past its hidden layer; the linear part earns its place on folds.
        parts = [hidden] if book else [x, hidden]
    joined = parts[0] if len(parts) == 1 else keras.layers.Concatenate()(parts)
    return keras.Model(x, keras.layers.Dense(1, kernel_regularizer=decay)(joined), name="core")


def _fit(
    core: keras.Model,
    prepare: keras.Model,
    finish: keras.Model,
    part: Rows,
    later: Rows | None,
    variant: Variant,
    plan: FitPlan,
    checkpoint: Path,
    on_epoch: Any,
    *,
    book: bool,
) -> FitResult:
    rescaling = next(layer for layer in finish.layers if hasattr(layer, "scale"))

    def features(rows: Rows) -> tuple[Array, Array]:
        target = rows.y if book else np.sqrt(rows.y)
        scaled = (target - rescaling.offset) / rescaling.scale
        return answer(prepare, rows.x), scaled.astype("float32")

    rate = variant.learning_rate
    adam = keras.optimizers.Adam(rate) if book else falling_adam(rate, len(part), plan)
    core.compile(optimizer=adam, loss="mse")
    x, y = features(part)
    return fit(
        core,
        x,
        y,
        plan=plan,
        sample_weight=_recency(len(part), variant.half_life_rows),
        validation=features(later) if later is not None else None,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )


def _moments(seen: Array) -> tuple[Array, Array]:
    """Mean and variance per column, (columns,), NaN left out; 0 and 1 where all is NaN."""
    there = np.isfinite(seen)
    count = np.maximum(there.sum(axis=0), 1)
    filled = np.where(there, seen, 0.0)
    mean = filled.sum(axis=0) / count
    variance = (np.where(there, seen - mean, 0.0) ** 2).sum(axis=0) / count
    return mean, np.where(variance > 0, variance, 1.0)


def _recency(rows: int, half_life_rows: float | None) -> Array | None:
    """Weights (rows,), float32, mean 1: half as much every `half_life_rows` back."""
    if half_life_rows is None:
        return None
    weights = 0.5 ** (np.arange(rows)[::-1] / half_life_rows)
    scaled: Array = (weights / weights.mean()).astype("float32")
    return scaled


def _profile(training: Rows) -> dict[str, Any]:
    import pandas as pd

    frame = pd.DataFrame(training.x[:, : len(INPUTS)], columns=list(INPUTS))
    frame[TARGET] = training.y[:, 0]
    return profile_table(frame, list(frame.columns))
