"""`regrow status` on a narrow terminal, and the commands that a run proposes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.status import _tabulate, format_age
from regrow.operations.next_steps import list_next
from tests.cli.test_examples import parse, split
from tests.conftest import REPOSITORY


def make_champion(**changes: Any) -> dict[str, Any]:
    champion = {"alias": 3, "metric": "rmse", "figure": 0.0304, "age_days": 12.4, "held": []}
    return {**champion, "frozen": None, "problem": None, "remarks": [], **changes}


def make_row(model: str, outcome: str, **changes: Any) -> dict[str, Any]:
    row = {"model": model, "outcome": outcome, "champion": None, "champion_on_sample": None}
    return {**row, "scopes": {}, "unit": "µg/m³", **changes}


ROWS = {
    "✓": make_row("air-quality", "completed", champion=make_champion()),
    "!": make_row("image-similarity", "cached", champion=make_champion(held=[1])),
    "✗": make_row("question-answering", "failed in validate", scopes={"qa01": make_champion()}),
    "…": make_row("sentence-vectors", "running train", champion_on_sample=make_champion()),
    "·": make_row("stacked-autoencoder", "never run"),
}


def test_each_model_has_one_line_on_a_terminal_of_80_columns() -> None:
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(_tabulate(list(ROWS.values())))
    head, *lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert head.split() == ["model", "champion", "age", "last", "run"]
    assert [line[0] for line in lines] == list(ROWS)
    for line, row in zip(lines, ROWS.values(), strict=True):
        assert len(line) <= 80
        assert line.endswith(row["outcome"])
    assert "3: rmse 0.0304 µg/m³" in lines[0]
    assert " 12 d " in lines[0]
    assert "of 1 scope " in lines[2]
    assert "3 (sample): rmse 0.0304 µg/m³" in lines[3]


@pytest.mark.parametrize(
    ("days", "expected"), [(None, ""), (0.02, "28 min"), (0.5, "12 h"), (2.9, "2 d")]
)
def test_ages_have_one_unit(days: float | None, expected: str) -> None:
    assert format_age(days) == expected


def summarize(registered: str, action: str, after: int | None) -> dict[str, Any]:
    decision = {"action": action, "version": 2, "champion_after": after}
    return {"registered_name": registered, "decision": decision}


NEXT = {
    ("air-quality", "air-quality.sample", "first", 1): [
        "regrow predict air-quality data/samples/air-quality.csv --sample",
        "regrow status air-quality",
    ],
    ("air-quality", "air-quality", "kept", 1): [
        "regrow log air-quality",
        "regrow predict air-quality AirQualityUCI.csv -o predictions.parquet",
        "regrow status air-quality",
    ],
    ("question-answering", "question-answering.qa02.sample", "held", None): [
        "regrow approve question-answering 2 --scope qa02 --sample --why REASON",
        "regrow reject question-answering 2 --scope qa02 --sample --why REASON",
        "regrow status question-answering",
    ],
    ("deep-dream", "deep-dream", "promoted", 2): [
        "regrow dream photo.jpg -o dream.jpg",
        "regrow status deep-dream",
    ],
}


@pytest.mark.parametrize(("model", "registered", "action", "after"), NEXT)
def test_a_run_proposes_commands_that_are_understood(
    model: str,
    registered: str,
    action: str,
    after: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    summary = summarize(registered, action, after)
    found = list_next(get_spec(model), summary, read_environment())
    assert found == NEXT[model, registered, action, after]
    for command in found:
        parse(split(command))
