"""How numbers, tables and sentences read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from regrow.base.decision import Action
from regrow.report import numbers, sentences
from regrow.report.evaluation import Headline, Table
from tests.support.report_run import make_decision


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([0.0304, 2.013, 7.3, 0.2251], ("0.0304", "2.01", "7.30", "0.225")),
        ([0.99998, 0.99995, 0.9162341], ("0.99998", "0.99995", "0.91623")),
        ([1.87, 2.41, 2.9], ("1.87", "2.41", "2.90")),
        ([8991, 12, None], ("8,991", "12", "–")),
        ([-1.5, 0.0, float("nan")], ("−1.50", "0.00", "–")),
        ([48.7, 0.02], ("48.7", "0.02")),
        ([1234567.8], ("1,234,568",)),
    ],
)
def test_columns_have_sensible_digits(values: list[Any], cells: tuple[str, ...]) -> None:
    assert numbers.format_column(values) == (True, cells)


def test_text_and_truth_are_not_numbers() -> None:
    assert numbers.format_column(["a", 0.5, True]) == (False, ("a", "0.5", "yes"))
    assert numbers.format_column([True, False]) == (False, ("yes", "no"))
    assert numbers.format_column([None, None]) == (False, ("–", "–"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01, "0.01"), (48.70, "48.7"), (3.2e-9, "3.2e−9"), (0, "0"), (12345, "12,345"), (None, "–")],
)
def test_single_numbers(value: float | None, text: str) -> None:
    assert numbers.format_number(value) == text


def test_flush_right_cells_align_at_the_point() -> None:
    cells = numbers.align_decimals(("0.0304", "2.01", "12", "–"))
    assert cells == ("0.0304", "2.01\u2007\u2007", "12\u2008\u2007\u2007\u2007\u2007", "–")
    assert numbers.align_decimals(("1", "22")) == ("1", "22")


def state(value: float, baseline: float | None, **more: Any) -> sentences.HeadlineText:
    named = {"baseline": {"name": "linear", "value": baseline}} if baseline is not None else {}
    found = sentences.state_headline(
        Headline(label="RMSE", metric="rmse", value=value, **named, **more)
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "baseline", "direction", "words", "is_better"),
    [
        (0.03, 2.01, "minimize", "67 times smaller than the best baseline, linear (2.01)", True),
        (1.87, 2.41, "minimize", "22 % below the best baseline, linear (2.41)", True),
        (3.0, 2.0, "minimize", "50 % above the best baseline, linear (2)", False),
        (5.0, 2.0, "minimize", "2.5 times as large as the best baseline, linear (2)", False),
        (0.93, 0.80, "maximize", "0.13 above the best baseline, linear (0.8)", True),
        (0.7, 0.80, "maximize", "0.1 below the best baseline, linear (0.8)", False),
        (2.0, 2.0, "minimize", "the same as the best baseline, linear (2)", False),
        (-4.0, -3.0, "minimize", "1 below the best baseline, linear (−3)", True),
    ],
)
def test_comparison_with_the_baseline(
    value: float, baseline: float, direction: str, words: str, is_better: bool
) -> None:
    headline = state(value, baseline, direction=direction)
    assert headline.comparison == words
    assert headline.is_better is is_better


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.03042, 0.00121, "0.0304 ± 0.0012"),
        (71.43, 0.82, "71.4 ± 0.8"),
        (0.03, 0.0011, "0.0300 ± 0.0011"),
        (2.0134, 0.0, "2.01"),
    ],
)
def test_the_spread_decides_on_the_digits(value: float, spread: float, text: str) -> None:
    headline = state(value, None, spread=spread, seeds=5)
    assert f"{headline.value} {headline.spread}".strip() == text
    assert headline.seeds == "5 seeds"


def test_no_headline_without_a_finite_figure() -> None:
    headline = Headline(metric="rmse", label="RMSE", value=float("nan"))
    assert sentences.state_headline(headline) is None


@pytest.mark.parametrize(
    ("more", "best"),
    [
        ({"best_by": "RMSE µg/m³"}, [1]),
        ({"best_by": "R²", "direction": "maximize"}, [0]),
        ({}, []),
    ],
)
def test_the_best_row_is_marked_by_the_named_column(more: dict[str, Any], best: list[int]) -> None:
    rows = [("a", 2.0, 0.9), ("b", 1.0, 0.8), ("c", None, None)]
    table = Table(title="", columns=("model", "RMSE µg/m³", "R²"), rows=rows, **more)
    built = numbers.format_table(table)
    assert [n for n, row in enumerate(built.rows) if row.is_best] == best


@pytest.mark.parametrize(
    ("action", "badge", "tone"),
    [
        ("first", "Champion", "good"),
        ("promoted", "Champion", "good"),
        ("kept", "Champion kept", "neutral"),
        ("refused", "Rejected", "bad"),
        ("rolled-back", "Rolled back", "neutral"),
    ],
)
def test_decisions(action: Action, badge: str, tone: str) -> None:
    decision = replace(make_decision(), action=action, reason="it is so", challenger=None)
    said = sentences.state_decision(decision)
    assert (said.badge, said.tone, said.sentence) == (badge, tone, "It is so.")
    assert dict(said.facts)["version"] == "3"
    assert dict(said.facts)["challenger"] == "–"


def test_dates_are_written_out() -> None:
    assert numbers.format_date("2025-11-24T09:48:12+00:00") == "24 November 2025, 09:48 UTC"
    assert numbers.format_date("yesterday") == "yesterday"
