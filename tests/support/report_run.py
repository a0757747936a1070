"""A whole run of air-quality with invented figures, as reports and cards are made from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regrow.base.decision import Decision
from regrow.base.spec import Card, Gate, ModelConfig, ModelSpec, StageSpec
from regrow.report import charts
from regrow.report.data import Lineage, ReportData, SourceUse, StageResult
from regrow.report.evaluation import Baseline, Evaluation, Figures, Headline, Table
from regrow.report.history import History, TrainingRecord
from regrow.report.validation import Check, Drift, Validation

UNIT = "µg/m³"
DIGEST = "13277ae5d8581e80b7be09d47c7d3d06fe9b8e957078f2cf6e859f955e62f996"
CARD = Card(
    intended_use="To estimate benzene.",
    out_of_scope="Medical advice.",
    data="One town in Italy.",
    evaluation="The last hours, beside a table.",
    limits="The sensors drift.",
    ethics="No persons are described.",
    command="regrow predict air-quality readings.csv",
    pipeline_tag="tabular-regression",
    tags=("sensors",),
)
SPEC = ModelSpec(
    name="air-quality",
    title="Benzene from the other sensors of a street-side air quality station",
    description="A small network estimates the hourly benzene concentration from cheap metal "
    "oxide sensors, temperature and humidity.",
    config=ModelConfig,
    sources=("air-quality",),
    stages={"train": StageSpec("regrow.models.air_quality.network:train")},
    gate=Gate(metric="rmse", score="regrow.models.air_quality.score:score"),
    predict="regrow.models.air_quality.predict:predict",
    card=CARD,
)


def make_series(rows: int = 2669) -> tuple[Any, Any, dict[str, Any]]:
    """Hourly times with a hole, benzene-like values, and the predictions of two variants."""
    random = np.random.default_rng(7)
    hours = np.arange(rows + 90)
    hours = hours[(hours < 900) | (hours >= 990)]
    time = np.datetime64("2004-12-19T04", "h") + hours
    rush = np.exp(-(((hours % 24) - 8) ** 2) / 6) + 1.2 * np.exp(-(((hours % 24) - 19) ** 2) / 8)
    week = np.where((hours // 24) % 7 < 5, 1.0, 0.65)
    benzene = np.round(week * (2.2 + 9 * rush) * random.lognormal(0, 0.45, rows) + 0.2, 1)
    everything = benzene + random.normal(0, 0.029, rows)
    without = 0.93 * benzene + random.normal(0, 1, rows) * (0.5 + 0.14 * benzene)
    return time, benzene, {"all sensors": everything, "without PT08.S2": without}


def make_history(seeds: int = 5) -> History:
    random = np.random.default_rng(11)
    runs = []
    for group, floor in (("all sensors", 2e-5), ("without PT08.S2", 6e-2)):
        for seed in range(seeds):
            epochs = np.arange(80 + int(random.integers(0, 40)))
            loss = (floor + np.exp(-epochs / 7)) * np.exp(random.normal(0, 0.08, len(epochs)))
            check = loss * 1.2 + floor * random.random(len(epochs))
            curves = {"loss": loss.tolist(), "val_loss": check.tolist()}
            runs.append(TrainingRecord(curves, f"{group}/seed-{seed}"))
    return History(runs)


def make_evaluation(folder: Path) -> Evaluation:
    time, actual, predicted = make_series()
    named: dict[str, Any] = {"label": "benzene", "unit": UNIT}
    results = {"mean": 7.31, "linear": 2.01, "gradient boosting": 0.225, "random forest": 0.0531}
    results |= {"isotonic on PT08.S2": 0.0212, "network": 0.0304}
    figures = Figures(folder)
    path = figures.add(
        "over_time.png",
        "Actual against predicted",
        "Hourly benzene in the test part, 19 December 2004 to 4 April 2005.",
    )
    charts.plot_over_time(time, actual, predicted, path, **named)
    path = figures.add(
        "residuals.png", "Residuals", "Errors of the median seed; each variant has its own scale."
    )
    charts.plot_residuals(actual, predicted, path, **named)
    path = figures.add("scatter.png", "Predicted against actual", "On the dashed line both agree.")
    charts.plot_scatter(actual, predicted, path, **named)
    charts.plot_bars(
        results,
        figures.add("baselines.png", "Baselines", "The scale is logarithmic."),
        label="RMSE on the last 30 %",
        unit=UNIT,
        highlight={"network"},
        spreads={"network": 0.0012},
    )
    return Evaluation(
        headline=Headline(
            metric="rmse",
            label="RMSE on the last 30 %",
            unit=UNIT,
            value=0.0304,
            spread=0.0012,
            seeds=5,
            baseline=Baseline(name="isotonic on PT08.S2", value=0.0212),
        ),
        metrics={"rmse": 0.0304, "mae": 0.0233},
        tables=make_tables(),
        figures=figures,
        notes=(
            "Benzene is a deterministic function of PT08.S2(NMHC), up to its rounding to 0.1.",
            "The split is by time: the last 30 % of the rows were never seen in training.",
        ),
    )


def make_tables() -> tuple[Table, ...]:
    heads = ("model", f"RMSE {UNIT}", f"MAE {UNIT}", "R²")
    return (
        Table(
            title="All sensors",
            caption="The network is the mean of 5 seeds; 0.029 is what rounding leaves.",
            columns=(*heads, "parameters"),
            rows=(
                ("network", 0.0304, 0.0233, 0.99998, 1089),
                ("isotonic on PT08.S2", 0.0212, 0.0179, 0.99999, None),
                ("random forest", 0.0531, 0.0302, 0.99995, None),
                ("gradient boosting", 0.225, 0.0713, 0.99895, None),
                ("linear", 2.01, 1.352, 0.9162, 13),
                ("mean", 7.31, 5.421, -0.0104, 1),
            ),
            best_by=f"RMSE {UNIT}",
        ),
        Table(
            title="Without PT08.S2(NMHC)",
            columns=heads,
            rows=(
                ("network", 1.87, 1.213, 0.927),
                ("linear", 2.41, 1.654, 0.879),
                ("gradient boosting", 2.94, 1.903, 0.821),
            ),
            best_by=f"RMSE {UNIT}",
        ),
    )


def make_validation() -> Validation:
    def check(words: str) -> Check:
        return Check(
            success=True, severity="error", expectation=words, why="it is physics", unexpected=0
        )

    drifted = {"check": "psi", "threshold": 0.25}
    return Validation(
        success=True,
        expectations=(
            check("benzene_ug_m3 between 0 and 100"),
            check("temperature_c between -5 and 50"),
            check("relative_humidity_percent between 0 and 100"),
            check("no duplicate time"),
            check("increasing time"),
        ),
        drift=(
            Drift(column="co_mg_m3", value=0.031, level="ok", **drifted),
            Drift(column="temperature_c", value=0.284, level="warning", **drifted),
        ),
        warnings=("temperature_c: PSI 0.284 is above 0.25 against the champion's data",),
    )


def make_decision() -> Decision:
    return Decision(
        model="air-quality",
        action="promoted",
        version=3,
        champion_before=2,
        champion_after=3,
        metric="rmse",
        challenger=0.0304,
        champion=0.0396,
        margin=0.01,
        reason="the challenger's RMSE on the current test data is 23.2 % below the champion's, "
        "more than the margin of 1 %",
        data_version="13277ae5",
        key="3fa2b7c1",
        at="2025-11-24T09:48:12+00:00",
    )


def make_lineage() -> Lineage:
    stages = ["download", "clean", "validate", "train", "evaluate"]
    seconds = [0.02, 0.05, 6.31, 48.7, 9.92]
    return Lineage(
        git_commit="9f2c1e07a4d1b7f3c05f8c3f6f7f2b9f1c0e5a11",
        is_dirty=False,
        stages=[
            StageResult(name, DIGEST[n:] + DIGEST[:n], DIGEST[::-1], n < 2, seconds[n])
            for n, name in enumerate(stages)
        ],
        libraries={"keras": "3.15.1", "numpy": "2.4.0", "pandas": "3.1.0"},
        backend="tensorflow",
        python="3.11.2",
        platform="Linux x86_64",
    )


def make_data(folder: Path, **changes: Any) -> ReportData:
    """The run, with its figures in `folder`."""
    data = ReportData(
        spec=SPEC,
        registered_name="air-quality",
        preset="best",
        config={
            "hidden_units": [32, 16],
            "epochs": 200,
            "batch_size": 10,
            "learning_rate": 0.001,
            "seeds": 5,
            "test_share": 0.3,
            "drop_sensor": None,
            "early_stopping": {"patience": 20, "restore_best": True},
        },
        data_kind="real",
        sources=[
            SourceUse(
                name="air-quality",
                title="Air Quality, UCI Machine Learning Repository, data set 360",
                homepage="https://archive.ics.uci.edu/dataset/360/air+quality",
                licence="CC BY 4.0",
                citation="Vito, S. (2008). Air Quality. UCI Machine Learning Repository. "
                "https://doi.org/10.24432/C59K5F",
                file="AirQualityUCI.csv",
                sha256=DIGEST,
                bytes=785065,
                origin="https://archive.ics.uci.edu/static/public/360/air+quality.zip",
            )
        ],
        data_facts={
            "rows": 8991,
            "columns": 14,
            "rows_without_target": 366,
            "first": "2004-03-10 18:00",
            "last": "2005-04-04 14:00",
            "training_rows": 6293,
            "test_rows": 2698,
        },
        training_facts={"parameters": 1089, "seconds": 48.7, "runs": 10},
        validation=make_validation(),
        history=make_history(),
        evaluation=make_evaluation(folder),
        evaluation_dir=folder,
        decision=make_decision(),
        lineage=make_lineage(),
    )
    return replace(data, **changes)
