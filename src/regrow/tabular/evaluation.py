"""The evaluate stage of a table, and the score by which the gate compares two versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from regrow.report.charts import plot_comparison, plot_scatter
from regrow.report.evaluation import Comparison, Evaluation, Figures, Scores, Table
from regrow.tabular.baselines import CONSTANT, answer_with_baselines
from regrow.tabular.inputs import compute_features, encode, encode_target, find_layer
from regrow.tabular.prediction import describe
from regrow.tabular.splitting import split_rows
from regrow.training.inference import answer, load_model
from regrow.training.seeds import load_runs

if TYPE_CHECKING:
    from regrow.base.spec import Gate
    from regrow.store.context import StageContext
    from regrow.tabular.model import Columns

GROUP = "network"


def evaluate(model: Any, ctx: StageContext) -> dict[str, Any]:
    """Measures every seed and the baselines on the test rows.

    Writes `evaluation.json`, `predictions.parquet` and the figures.

    Raises:
        DataError: a binary target has one value only in the test rows.
    """
    columns: Columns = model.table
    gate: Gate = model.gate
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    parts = split_rows(pd.read_parquet(table), columns, model.split)
    network = load_model(train.file("model.keras"))
    layer = find_layer(network)
    rows = encode(parts["test"], layer)
    actual = encode_target(parts["test"], columns, layer.labels)
    runs = [
        model.scores(actual, answer(each, rows)) for each in load_runs(train.path, GROUP).values()
    ]
    baselines = _measure_baselines(model, parts["train"], layer, rows, actual, ctx.progress)
    comparison = Comparison("network", runs, baselines)
    found = answer(network, rows)
    predictions = describe(parts["test"], columns, found, layer.labels)
    predictions.to_parquet(ctx.out / "predictions.parquet", index=False)
    published = model.scores(actual, found)
    return Evaluation(
        headline=comparison.headline(
            gate.metric,
            f"{gate.metric} of {columns.target} on {len(rows):,} test rows",
            direction=gate.direction,
            unit=gate.unit,
            simplest=CONSTANT if gate.metric in comparison.baselines[CONSTANT] else None,
        ),
        metrics={**published, **comparison.means(published)},
        tables=_tabulate(comparison, published, gate, actual, found, layer.labels),
        figures=_draw(ctx.out, columns, gate, comparison, actual, found),
        notes=(_describe_split(parts, columns),),
    ).write(ctx.out, test_rows=len(rows))


def score(model: Any, network: Any, table: Path) -> dict[str, float]:
    """The figures of a network on the test rows of a cleaned table, as the gate compares them."""
    columns: Columns = model.table
    test = split_rows(pd.read_parquet(table), columns, model.split)["test"]
    layer = find_layer(network)
    actual = encode_target(test, columns, layer.labels)
    found: dict[str, float] = model.scores(actual, answer(network, encode(test, layer)))
    return found


def _measure_baselines(
    model: Any, training: pd.DataFrame, layer: Any, rows: Any, actual: Any, progress: Any
) -> dict[str, Scores]:
    """The scores of the simple models on the encoded test rows."""
    known = compute_features(layer, encode(training, layer))
    answers = answer_with_baselines(
        model.table.task,
        model.baselines(),
        (known, encode_target(training, model.table, layer.labels)),
        compute_features(layer, rows),
        len(layer.labels),
        progress,
    )
    return {name: model.scores(actual, found) for name, found in answers.items()}


def _tabulate(
    comparison: Comparison,
    published: dict[str, float],
    gate: Gate,
    actual: Any,
    found: Any,
    labels: list[str],
) -> tuple[Table, ...]:
    tables = [
        Table(
            title="Test rows",
            columns=("model", *published),
            rows=comparison.rows(published),
            best_by=gate.metric,
            direction=gate.direction,
            caption=f"{len(actual):,} rows that were not used in training.",
        )
    ]
    if labels:
        chosen = (found[:, 0] >= 0.5).astype(int) if found.shape[1] == 1 else found.argmax(axis=1)
        rows = []
        for n, label in enumerate(labels):
            there, said = actual == n, chosen == n
            rows.append(
                (
                    label,
                    int(there.sum()),
                    float(said[there].mean()) if there.any() else None,
                    float(there[said].mean()) if said.any() else None,
                )
            )
        tables.append(
            Table(
                title="By label",
                columns=("label", "rows", "recall", "precision"),
                rows=rows,
                caption="Results of the published network on the test rows.",
            )
        )
    return tuple(tables)


def _draw(
    out: Path, columns: Columns, gate: Gate, comparison: Comparison, actual: Any, found: Any
) -> Figures:
    figures = Figures(out)
    path = figures.add(
        "comparison.png", "Comparison with simple models", f"{gate.metric} on the test rows."
    )
    plot_comparison(
        comparison, gate.metric, path, label=gate.metric, unit=gate.unit, direction=gate.direction
    )
    if columns.task == "regression":
        path = figures.add("predicted.png", "Predicted against actual", "Test rows.")
        plot_scatter(actual, {"network": found[:, 0]}, path, label=columns.target, unit=gate.unit)
    return figures


def _describe_split(parts: Any, columns: Columns) -> str:
    sizes = ", ".join(f"{len(part):,} {name} rows" for name, part in parts.items())
    if columns.time:
        start = parts["test"][columns.time].min()
        return f"{sizes}; the test rows are the newest rows, starting at {start}."
    return f"{sizes}, split by a hash, so that a row stays in its split when the table grows."
