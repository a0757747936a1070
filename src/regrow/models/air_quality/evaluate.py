"""How well air-quality does on rows that training never saw, beside simple baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.air_quality.columns import FEATURES, INPUTS
from regrow.models.air_quality.score import measure
from regrow.models.air_quality.slices import UNIT, tabulate_slices
from regrow.models.air_quality.table import Array, Rows, read_rows, split
from regrow.report.charts import plot_comparison, plot_over_time, plot_residuals, plot_scatter
from regrow.report.evaluation import Comparison, Evaluation, Figures, Scores, Table
from regrow.report.history import FILE, History
from regrow.training.inference import answer, load_model
from regrow.training.seeds import load_runs

if TYPE_CHECKING:
    import pandas as pd

    from regrow.models.air_quality.spec import AirQualityConfig
    from regrow.store.context import StageContext

S2 = FEATURES.index("pt08_s2_nmhc")
# The column is rounded to 0.1: an error spread evenly over that width has this root mean square.
ROUNDING_FLOOR = 0.1 / np.sqrt(12)
SEED = 0
MEAN = "training mean"


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every variant and seed, and the baselines, on the last rows of the table.

    Writes `evaluation.json`, `predictions.parquet` (timestamp, actual, predicted, residual, in
    µg/m³) and the figures.
    """
    config: AirQualityConfig = ctx.config
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    training, test = split(read_rows(table), config.test_share)
    baselines = {
        "all-sensors": _measure_baselines(training, test, with_s2=True, progress=ctx.progress),
        "without-s2": _measure_baselines(training, test, with_s2=False, progress=ctx.progress),
    }
    comparisons = {
        name: Comparison("network", _measure_runs(train.path, name, test), baselines.get(name, {}))
        for name in config.variants
    }
    predictions = _predict(load_model(train.file("model.keras")), test)
    predictions.to_parquet(ctx.out / "predictions.parquet", index=False)
    first, comparison = next(iter(comparisons.items()))
    tables = [_tabulate(name, found, len(test)) for name, found in comparisons.items()]
    return Evaluation(
        headline=comparison.headline(
            "rmse",
            f"RMSE on the last {config.test_share:.0%} of the hours ({first})",
            unit=UNIT,
            simplest=MEAN if MEAN in comparison.baselines else None,
        ),
        metrics={
            **measure(predictions["actual"].to_numpy(), predictions["predicted"].to_numpy()),
            **{f"rmse_{name}": found.mean("rmse") for name, found in comparisons.items()},
        },
        tables=[
            *([_tabulate_book(ctx, table)] if config.recipe == "book" else []),
            *tables,
            *tabulate_slices(predictions),
        ],
        figures=_draw(ctx.out, predictions, comparisons),
        notes=_note(config, training, test),
    ).write(ctx.out, test_rows=len(test))


def _measure_runs(train: Path, variant: str, test: Rows) -> list[Scores]:
    models = load_runs(train, variant).values()
    return [measure(test.y[:, 0], answer(model, test.x)[:, 0]) for model in models]


def _predict(model: Any, test: Rows) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({"timestamp": test.time, "actual": test.y[:, 0]})
    frame["predicted"] = answer(model, test.x)[:, 0]
    frame["residual"] = frame["predicted"] - frame["actual"]
    return frame


def _measure_baselines(
    training: Rows, test: Rows, *, with_s2: bool, progress: Any
) -> dict[str, Scores]:
    """Test errors of simple models on the same rows; missing inputs get the training mean."""
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    # An imputer drops a column without any value; so does this, for all baselines alike.
    filled = np.flatnonzero(np.isfinite(training.x[:, : len(INPUTS)]).any(axis=0))
    columns = [n for n in filled if with_s2 or n != S2]
    models: dict[str, Any] = {
        MEAN: DummyRegressor(),
        "linear regression": LinearRegression(),
        "gradient boosting": HistGradientBoostingRegressor(random_state=SEED),
        "random forest": RandomForestRegressor(n_jobs=2, random_state=SEED),
    }
    scores: dict[str, Scores] = {}
    actual, what = test.y[:, 0], f"baselines {'with' if with_s2 else 'without'} S2"
    for number, (name, model) in enumerate(models.items()):
        progress(what, number, len(models))
        fitted = make_pipeline(SimpleImputer(), model).fit(training.x[:, columns], training.y[:, 0])
        scores[name] = measure(actual, fitted.predict(test.x[:, columns]))
    if with_s2:
        scores["isotonic on PT08.S2"] = measure(actual, _predict_by_s2(training, test))
    progress(what, len(models), len(models))
    return scores


def _predict_by_s2(training: Rows, test: Rows) -> Array:
    from sklearn.isotonic import IsotonicRegression

    mean = float(np.nanmean(training.x[:, S2]))
    isotonic = IsotonicRegression(out_of_bounds="clip")
    isotonic.fit(np.nan_to_num(training.x[:, S2], nan=mean), training.y[:, 0])
    predicted: Array = isotonic.predict(np.nan_to_num(test.x[:, S2], nan=mean))
    return predicted


def _tabulate(variant: str, comparison: Comparison, test_rows: int) -> Table:
    return Table(
        title=f"Variant {variant}",
        caption=f"On the last {test_rows} hours with a benzene value, in chronological order.",
        columns=("model", f"RMSE {UNIT}", "standard deviation over seeds"),
        rows=comparison.rows(["rmse"], spreads=["rmse"]),
        best_by=f"RMSE {UNIT}",
    )


def _tabulate_book(ctx: StageContext, table: Path) -> Table:
    """The chapter's own figure: scaled errors, the value -200 counted as benzene."""
    rows = read_rows(table, book=True)
    _training, test = split(rows, ctx.config.test_share)
    train = ctx.inputs["train"]
    lines = []
    for run in History.read(train.file(FILE)).runs:
        predicted = answer(load_model(train.file(run.path)), test.x)
        scaled = float(np.mean((predicted - test.y) ** 2) / rows.y.std() ** 2)
        lines.append([run.run, run.val_loss, scaled])
    return Table(
        title="Metrics of the chapter: scaled mean squared error",
        caption=(
            "Missing values are treated as readings of -200, and the scaler was fitted on the "
            "test rows as well: its standard deviation of benzene is 41 instead of 7, so errors "
            "look small."
        ),
        columns=("run", "validation", "last rows"),
        rows=lines,
    )


def _draw(out: Path, predictions: pd.DataFrame, comparisons: dict[str, Comparison]) -> Figures:
    figures = Figures(out)
    actual = predictions["actual"].to_numpy()
    found = {"network": predictions["predicted"].to_numpy()}
    labels: Any = {"label": "benzene", "unit": UNIT}
    path = figures.add(
        "over_time.png",
        "Benzene over time",
        "Actual and predicted hourly benzene for the test hours.",
    )
    plot_over_time(predictions["timestamp"].to_numpy(), actual, found, path, **labels)
    path = figures.add(
        "residuals.png",
        "Residuals",
        "Predicted minus actual. The actual values are rounded to 0.1.",
    )
    plot_residuals(actual, found, path, **labels)
    path = figures.add(
        "scatter.png", "Predicted against actual", "Perfect predictions lie on the diagonal."
    )
    plot_scatter(actual, found, path, **labels)
    for name, comparison in comparisons.items():
        path = figures.add(
            f"baselines_{name}.png",
            f"Comparison with simple models ({name})",
            "All models are fitted on the same training rows; shorter bars are better.",
        )
        plot_comparison(comparison, "rmse", path, label="RMSE", unit=UNIT)
    return figures


def _note(config: AirQualityConfig, training: Rows, test: Rows) -> list[str]:
    notes = [
        f"Training rows end at {training.time[-1]!s:.16}; test rows begin at {test.time[0]!s:.16}.",
        "Benzene in this file was computed from PT08.S2 and rounded to 0.1, so the variant with "
        f"that sensor can reach about {ROUNDING_FLOOR:.3f} {UNIT}: it recovers this formula "
        "instead of measuring air. Isotonic regression, which amounts to a table of the values "
        "for each integer PT08.S2, even reproduces the rounding. The variant without this sensor "
        "is harder and more useful.",
        "The published seed was chosen on validation rows, not on test rows.",
    ]
    if config.recipe == "book":
        notes.append(
            "The preset book reproduces the chapter's mistakes: missing values in inputs and "
            "target are treated as -200, the scaler is fitted on all rows, and rows without a "
            "target are used for training."
        )
    return notes
