"""The typed content of evaluation.json."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from regrow.base.errors import UserError
from regrow.report.evaluation import Comparison, Evaluation, Figures, Headline, Table
from tests.support.report_run import make_evaluation


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    evaluation = make_evaluation(tmp_path)
    evaluation.write(tmp_path)
    assert Evaluation.read(tmp_path / "evaluation.json") == evaluation


def test_figures_of_numpy_and_undefined_ones_survive(tmp_path: Path) -> None:
    row = (np.float32(0.5), np.int64(3), np.bool_(True), np.str_("x"), None)
    evaluation = Evaluation(
        headline=Headline(metric="mse", label="error", value=np.float32("nan")),
        metrics={"mse": math.nan, "other": np.float64(2)},
        tables=(Table(title="t", columns=("a", "b", "c", "d", "e"), rows=[row]),),
    )
    evaluation.write(tmp_path)
    found = Evaluation.read(tmp_path / "evaluation.json")
    assert found.tables[0].rows == ((0.5, 3, True, "x", None),)
    assert [type(cell) for cell in found.tables[0].rows[0]][:3] == [float, int, bool]
    assert math.isnan(found.headline.value)
    assert math.isnan(found.metrics["mse"])


def break_json(found: dict[str, Any], where: str) -> None:
    if where == "headline.value":
        found["headline"]["value"] = "much"
    elif where == "metrics":
        del found["metrics"]
    elif where == "tables.0":
        found["tables"][0]["rows"][0].pop()
    elif where == "tables.1":
        found["tables"][1]["best_by"] = "nothing"
    else:
        found["verdict"] = "good"


@pytest.mark.parametrize("where", ["headline.value", "metrics", "tables.0", "tables.1", "verdict"])
def test_a_file_of_another_form_is_refused_in_words(tmp_path: Path, where: str) -> None:
    make_evaluation(tmp_path).write(tmp_path)
    path = tmp_path / "evaluation.json"
    found = json.loads(path.read_text("utf-8"))
    break_json(found, where)
    path.write_text(json.dumps(found), "utf-8")
    with pytest.raises(UserError) as refused:
        Evaluation.read(path)
    assert refused.value.where == str(path)
    assert str(refused.value.received).startswith(f"{where}: ")
    assert "Evaluation" in str(refused.value.expected)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(UserError, match="does not have the required structure"):
        Evaluation.read(path)


def test_columns_have_labels_of_their_own() -> None:
    with pytest.raises(ValidationError, match="two columns have the same label"):
        Table(title="t", columns=("a", "a"), rows=())


def test_a_figure_is_listed_where_it_is_drawn(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    path = figures.add("bars.png", "Bars", "Longer is better.")
    assert path == tmp_path / "figures" / "bars.png"
    assert path.parent.is_dir()
    assert [(f.file, f.title) for f in figures] == [("figures/bars.png", "Bars")]


def test_a_comparison_gives_headline_and_rows() -> None:
    runs = [{"rmse": 1.0, "r2": 0.8}, {"rmse": 3.0, "r2": 0.9}]
    baselines = {"linear": {"rmse": 4.0, "r2": 0.7}, "mean": {"rmse": 7.0}}
    comparison = Comparison("network", runs, baselines)
    headline = comparison.headline("rmse", "RMSE", unit="m")
    assert (headline.value, headline.spread, headline.seeds) == (2.0, 1.0, 2)
    assert headline.baseline
    assert (headline.baseline.name, headline.baseline.value) == ("linear", 4.0)
    assert comparison.headline("r2", "R²", direction="maximize").baseline == (
        headline.baseline.model_copy(update={"value": 0.7})
    )
    assert comparison.rows(["rmse", "r2"], spreads=["rmse"]) == [
        ["network (2 seeds)", 2.0, 1.0, pytest.approx(0.85)],
        ["linear", 4.0, None, 0.7],
        ["mean", 7.0, None, None],
    ]
    assert headline.simplest is None
    simplest = comparison.headline("rmse", "RMSE", simplest="mean").simplest
    assert simplest
    assert (simplest.name, simplest.value) == ("mean", 7.0)
    assert Comparison("network", runs[:1], {}).headline("rmse", "RMSE").baseline is None
