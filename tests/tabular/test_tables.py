"""Tables of one's own: reading, dividing, coding, and how good the usual network is on them."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import regrow
from regrow.base.errors import DataError
from regrow.tabular.cleaning import convert, read_table
from regrow.tabular.inputs import encode, make_layer
from regrow.tabular.model import Model
from regrow.tabular.splitting import split_rows
from regrow.tabular.stages import Members
from tests.support.stages import make_context, make_entry
from tests.support.upstreams import pack

ROWS = 2000
Array = np.ndarray


def numbers(draw: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame = pd.DataFrame({name: draw.normal(size=ROWS) for name in "abc"})
    frame["y"] = 10 + 3 * frame["a"] + frame["b"] ** 2 + draw.normal(0, 0.3, ROWS)
    return frame, {"target": "y", "numbers": ["a", "b", "c"]}


def binary(draw: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame = pd.DataFrame({name: draw.normal(size=ROWS) for name in "ab"})
    frame.loc[draw.random(ROWS) < 0.1, "a"] = np.nan
    leaning = frame["a"].fillna(0) - frame["b"] + draw.normal(0, 0.5, ROWS)
    frame["y"] = np.where(leaning > 0, "yes", "no")
    return frame, {"target": "y", "task": "binary", "numbers": ["a", "b"]}


def classes(draw: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    kind = draw.integers(0, 4, ROWS)
    at = np.array([[0, 0], [2, 0], [0, 2], [2, 2]])[kind]
    frame = pd.DataFrame(at + draw.normal(0, 0.6, (ROWS, 2)), columns=["a", "b"])
    frame["y"] = kind
    return frame, {"target": "y", "task": "classes", "numbers": ["a", "b"]}


def series(draw: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    step = np.arange(ROWS)
    frame = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=ROWS, freq="h")})
    frame["sine"] = np.sin(step / 24 * 2 * np.pi)
    frame["load"] = draw.normal(size=ROWS)
    frame["y"] = 5 * frame["sine"] + frame["load"] + draw.normal(0, 0.5, ROWS)
    return frame, {"target": "y", "time": "day", "numbers": ["sine", "load"]}


def texts(draw: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    colour, size = draw.choice(["red", "green", "blue"], ROWS), draw.choice(["S", "L"], ROWS)
    words = draw.choice(["the", "a", "box", "came", "late", "early", "today"], (ROWS, 6))
    frame = pd.DataFrame({"colour": colour, "size": size, "note": [" ".join(w) for w in words]})
    late = (words == "late").sum(axis=1) - (words == "early").sum(axis=1)
    leaning = late + (colour == "red") - (size == "S") + draw.normal(0, 0.5, ROWS)
    frame["y"] = leaning > 0
    return frame, {
        "target": "y",
        "task": "binary",
        "categories": ["colour", "size"],
        "texts": ["note"],
    }


TABLES: list[Callable[..., Any]] = [numbers, binary, classes, series, texts]


def pack_one(content: bytes) -> bytes:
    return pack({"folder/table.csv": content})


def make_model(**columns: Any) -> Model:
    class Mine(Model):
        table = regrow.columns(**columns)
        gate = regrow.Gate(metric="rmse")

    return Mine()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_the_usual_network_comes_close_to_the_best_baseline(
    table: Callable[..., Any], tmp_path: Path
) -> None:
    """Within 5 % of it, on generated tables with a known signal."""
    from regrow.tabular.evaluation import evaluate
    from regrow.tabular.model import GATES
    from regrow.tabular.training import train

    frame, columns = table(np.random.default_rng(1))
    model = make_model(**columns)
    type(model).gate = GATES[model.table.task]
    (tmp_path / "clean").mkdir()
    cleaned = convert(frame, model.table, "table")
    cleaned.to_parquet(tmp_path / "clean" / "table.parquet", index=False)
    clean = make_entry(tmp_path / "clean")
    config = regrow.TrainingConfig(seeds=1)
    train(Members(model, "train"), make_context(config, tmp_path / "train", clean=clean))
    context = make_context(
        config, tmp_path / "evaluate", clean=clean, train=make_entry(tmp_path / "train")
    )
    evaluate(Members(model, "evaluate"), context)
    headline = json.loads((tmp_path / "evaluate" / "evaluation.json").read_text())["headline"]
    best, found = headline["baseline"]["value"], headline["value"]
    worse = best - found if headline["direction"] == "maximize" else found - best
    assert worse <= 0.05 * abs(best), headline


def test_rows_stay_in_their_part_when_the_table_grows() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(1000), "x": draw.normal(size=1000), "y": 1.0})
    columns = regrow.columns(target="y", numbers=["x"], id="id")
    before = split_rows(frame[:600], columns, regrow.Split())
    after = split_rows(frame.sample(frac=1, random_state=0), columns, regrow.Split())
    for name, part in before.items():
        assert {*part["id"]} <= {*after[name]["id"]}
    assert 0.15 < len(after["test"]) / 1000 < 0.25


def test_the_newest_rows_test_and_one_time_is_in_one_part() -> None:
    days = pd.date_range("2024-01-01", periods=50).repeat(7)
    frame = pd.DataFrame({"day": days, "x": 1.0, "y": 1.0}).sample(frac=1, random_state=1)
    columns = regrow.columns(target="y", numbers=["x"], time="day")
    parts = split_rows(frame, columns, regrow.Split())
    assert parts["train"]["day"].max() < parts["validation"]["day"].min()
    assert parts["validation"]["day"].max() < parts["test"]["day"].min()
    assert sum(map(len, parts.values())) == len(frame)


def test_a_group_is_in_one_part() -> None:
    frame = pd.DataFrame({"who": np.arange(900) % 90, "x": np.arange(900.0), "y": 1.0})
    columns = regrow.columns(target="y", numbers=["x"], group="who")
    parts = split_rows(frame, columns, regrow.Split())
    people = [{*part["who"]} for part in parts.values()]
    assert sum(map(len, people)) == 90


def test_values_that_training_never_saw_are_unknown_and_not_an_error() -> None:
    columns = regrow.columns(target="y", numbers=["x"], categories=["c"])
    known = pd.DataFrame({"x": [1.0, 3.0, None], "c": ["a", "a", "b"], "y": [1.0, 2, 3]})
    layer = make_layer(pd.concat([known] * 2), columns)
    rows = encode(pd.DataFrame({"x": [2.0, None], "c": ["new", None]}), layer)
    features = np.asarray(layer(rows))
    # x standardised, x missing, and the indicators of unknown, a and b.
    np.testing.assert_allclose(features, [[0, 0, 1, 0, 0], [0, 1, 1, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x;y\n1,5;2\n2,5;3\n", [1.5, 2.5]),
        ("x,y\n1.5,2\n2.5,3\n", [1.5, 2.5]),
        ("\ufeffx\ty\r\n1.5\t2\r\n2.5\t3\r\n", [1.5, 2.5]),
        ("x,y\n1.5,2\n,3\n", [1.5, None]),
        ("x;y\r1,5;2\r2,5;3\r", [1.5, 2.5]),
    ],
)
def test_the_usual_forms_of_csv_are_read(
    text: str, expected: list[float | None], tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    columns = regrow.columns(target="y", numbers=["x"])
    found = convert(read_table(path, "table.csv"), columns, "table.csv")["x"]
    np.testing.assert_array_equal(found, np.array(expected, dtype=float))


@pytest.mark.parametrize("packing", [gzip.compress, bz2.compress, lzma.compress, pack_one])
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.csv.bz2", "table.zip"])
def test_a_packed_table_is_known_by_its_content(
    packing: Callable[[bytes], bytes], name: str, tmp_path: Path
) -> None:
    columns = regrow.columns(target="y", numbers=["x"])
    for text in ("x;y\n1,5;2\n2,5;3\n", "x\ty\n1.5\t2\n2.5\t3\n"):
        for content in (text.encode(), packing(text.encode())):
            (tmp_path / name).write_bytes(content)
            found = convert(read_table(tmp_path / name, name), columns, name)
            assert [*found["x"]] == [1.5, 2.5]


@pytest.mark.parametrize("form", [float, str])
def test_infinity_is_no_number_to_learn_from(form: Callable[[float], Any]) -> None:
    columns = regrow.columns(target="y", numbers=["x"])
    values = [float(n) for n in range(100)]
    frame = pd.DataFrame({"x": [form(value) for value in [*values[:-1], np.inf]], "y": values})
    found = convert(frame, columns, "table.csv")["x"]
    assert [n for n, known in enumerate(found.notna()) if not known] == [99]
    frame["x"] = [form(value) for value in [*values[:-10], *[-np.inf] * 10]]
    with pytest.raises(DataError, match="wrong type") as caught:
        convert(frame, columns, "table.csv")
    assert "'-inf' in row 90" in str(caught.value)


WRONG = {
    "no header": ("1,2\n3,4\n", "add a header to the file"),
    "a column is missing": ("x,z\n1,2\n", "y"),
    "a column twice": ("x,y,y\n1,2,3\n", "table.csv"),
    "no numbers": ("x,y\nred,1\nblue,2\n", "'red' in row 0"),
    "no dates": ("x,y,t\n1,1,soon\n", "'soon' in row 0"),
    "empty": ("", "No columns to parse"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_table_is_explained(name: str, tmp_path: Path) -> None:
    text, expected = WRONG[name]
    path = tmp_path / "table.csv"
    path.write_text(text)
    time = "t" if ",t" in text else None
    columns = regrow.columns(target="y", numbers=["x"], time=time)
    if name == "a column twice":  # pandas renames the second
        assert [*convert(read_table(path, "table.csv"), columns, "table.csv")] == ["x", "y"]
        return
    with pytest.raises(DataError) as caught:
        convert(read_table(path, "table.csv"), columns, "table.csv")
    assert expected in str(caught.value)
    assert "table.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "task", "expected"),
    [
        (["a"] * 20, "binary", "1 different values: a"),
        (["a", "b", "c"] * 20, "binary", "3 different values: a, b, c"),
        ([1.0] * 20, "regression", "the same value in every training row"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(
    values: list[Any], task: Any, expected: str, tmp_path: Path
) -> None:
    from regrow.tabular.training import train

    frame = pd.DataFrame({"x": np.arange(float(len(values))), "y": values})
    model = make_model(target="y", task=task, numbers=["x"])
    convert(frame, model.table, "t").to_parquet(tmp_path / "table.parquet", index=False)
    context = make_context(
        regrow.TrainingConfig(seeds=1), tmp_path / "train", clean=make_entry(tmp_path)
    )
    with pytest.raises(DataError) as caught:
        train(Members(model, "train"), context)
    assert expected in str(caught.value)


def test_a_frame_in_memory_is_answered_as_a_file(tmp_path: Path) -> None:
    from regrow.tabular.prediction import predict, predict_frame
    from regrow.tabular.training import build_network, publish_network

    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "c": ["a", "a", "b", "b"], "y": [1.0, 2, 3, 4]})
    model = make_model(target="y", numbers=["x"], categories=["c"])
    layer = make_layer(frame, model.table)
    core = build_network(model, layer, regrow.TrainingConfig())
    network = publish_network(layer, core, "regression", 0.0, 1.0)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = predict_frame(model, network, frame)
    pd.testing.assert_frame_equal(found, predict(model, network, [tmp_path / "rows.csv"]))
    assert [*found] == ["y", "y_predicted"]
    with pytest.raises(DataError, match="columns are missing from the table"):
        predict_frame(model, network, frame[["x"]])


@pytest.mark.parametrize("value", [np.inf, 1.5e308, 2.0**60])
def test_large_numbers_as_categories_are_texts(value: float) -> None:
    frame = pd.DataFrame({"plan": [1.0, value], "y": [1.0, 2.0]})
    found = convert(frame, regrow.columns(target="y", categories=["plan"]), "some.parquet")
    assert [float(text) for text in found["plan"]] == [1.0, value]
    whole = frame.assign(plan=[1.0, np.nan])
    found = convert(whole, regrow.columns(target="y", categories=["plan"]), "some.parquet")
    assert found["plan"][0] == "1"


def test_what_is_no_table_is_named_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"UTF-16 text"):
        read_table(path, path.name)
