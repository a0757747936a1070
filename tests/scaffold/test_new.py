"""`regrow new`: what it makes of a table, and what it refuses."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regrow.base.errors import UserError
from regrow.scaffold.columns import guess_columns
from regrow.scaffold.new import make_model

ROWS = 300


def customers() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer_id": np.arange(ROWS),
            "joined": pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d"),
            "fee": draw.normal(30, 5, ROWS),
            "age": draw.integers(18, 80, ROWS),
            "plan": draw.choice(["a", "b"], ROWS),
            "active": draw.random(ROWS) < 0.5,
            "remark": [
                " ".join(draw.choice(["good", "bad", "fine", "so"], 5)) + f" {n}"
                for n in range(ROWS)
            ],
            "code": [f"x{n % 200}" for n in range(ROWS)],
            "country": "CH",
            "churned": draw.choice(["no", "yes"], ROWS),
        }
    )


def test_columns_are_taken_for_what_they_are() -> None:
    guess = guess_columns(customers(), "customers.csv", "churned")
    assert (guess.id, guess.time, guess.target, guess.task) == (
        "customer_id",
        "joined",
        "churned",
        "binary",
    )
    assert guess.numbers == ["fee", "age"]
    assert guess.categories == ["plan", "active"]
    assert guess.texts == ["remark"]
    assert guess.reasons == [
        "code: left out, because it is text with 200 different values",
        "country: left out, because it has 1 different values",
    ]


@pytest.mark.parametrize(
    ("target", "task"), [("fee", "regression"), ("plan", "binary"), ("code", "classes")]
)
def test_the_task_follows_from_the_target(target: str, task: str) -> None:
    assert guess_columns(customers(), "customers.csv", target).task == task


def test_a_model_is_written_and_a_second_one_is_added(tmp_path: Path) -> None:
    customers().to_csv(tmp_path / "customers.csv", index=False)
    make_model(tmp_path, "churn", data=str(tmp_path / "customers.csv"), target="churned")
    made = make_model(tmp_path, "fee-of-a-plan", template="stages")
    assert tomllib.loads((tmp_path / "regrow.toml").read_text())["models"] == [
        "churn",
        "fee_of_a_plan",
    ]
    assert 'regrow.csv("customers.csv")' in (tmp_path / "churn" / "model.py").read_text()
    for path in made.files:
        assert (tmp_path / path).is_file()
        if path.endswith(".py"):
            ast.parse((tmp_path / path).read_text())


def test_quotes_and_backslashes_in_names_stay_names(tmp_path: Path) -> None:
    frame = customers().rename(columns={"fee": 'fee "net"\\', "plan": "{{ plan }}"})
    frame.to_csv(tmp_path / "customers.csv", index=False)
    make_model(tmp_path, "churn", data=str(tmp_path / "customers.csv"))
    tree = ast.parse((tmp_path / "churn" / "model.py").read_text())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {'fee "net"\\', "{{ plan }}"} <= strings


@pytest.mark.parametrize("name", ["Churn", "my churn", "1st", "json", "class", "../up", "regrow"])
def test_a_name_that_cannot_be_a_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot have this name"):
        make_model(tmp_path, name)
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    make_model(tmp_path, "churn")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="nothing was written"):
        make_model(tmp_path, "churn")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("a,b\n1,2\n2,3\n", "c", "no column 'c'"),
        ("a,b\n", None, "no rows"),
        ("a,b\n1,2\n1,3\n", "b", "no column can be used as an input"),
        ("", None, "the file is not a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_explained(
    tmp_path: Path, text: str, target: str | None, expected: str
) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(UserError, match=expected):
        make_model(tmp_path, "mine", data=str(tmp_path / "table.csv"), target=target)
    assert not (tmp_path / "mine").exists()


def test_lists_in_a_parquet_file_are_no_inputs_and_no_target() -> None:
    frame = customers()
    frame["tags"] = [[n, n] for n in range(ROWS)]
    guess = guess_columns(frame, "customers.parquet", "churned")
    assert "tags: left out, because it contains lists or mappings" in guess.reasons
    with pytest.raises(UserError, match="cannot be predicted"):
        guess_columns(frame, "customers.parquet", "tags")
