"""Which rows lie outside what training has seen."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from regrow.checks.profiles import profile_table
from regrow.checks.ranges import find_outside
from regrow.operations.input_ranges import describe_ranges


def find(seen: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    frame = pd.DataFrame(seen)
    profile = json.loads(json.dumps(profile_table(frame, list(frame.columns))))
    return find_outside(profile, pd.DataFrame(now))


def test_a_row_counts_once_and_each_of_its_columns_is_named() -> None:
    found = find(
        {"a": [1.0, 5.0, 3.0], "b": [10, 20, 15], "kind": ["x", "y", "x"]},
        {"a": [0.9, 5.1, 3.0, 5.0], "b": [15, 21, 20, 10], "kind": ["x", "z", "y", "z"]},
    )
    assert (found["rows"], found["outside"]) == (4, 3)
    assert found["columns"] == {
        "a": {"rows": 2, "seen": "1 to 5"},
        "b": {"rows": 1, "seen": "10 to 20"},
        "kind": {"rows": 2, "seen": "2 different values"},
    }
    said = describe_ranges(found, "m version 3")
    assert said is not None
    assert said.startswith(
        "3 of 4 rows are outside the training range of m version 3 has seen: a (2"
    )


def test_missing_values_times_and_unknown_columns_are_not_outside() -> None:
    days = pd.to_datetime(["2026-01-01", "2026-01-02"])
    found = find(
        {"a": [1.0, 2.0], "at": days, "lost": [1.0, 2.0], "empty": [np.nan, np.nan]},
        {"a": [np.nan, 1.5], "at": days + pd.Timedelta(days=90), "new": [7, 8], "empty": [1, 2]},
    )
    assert found == {"rows": 2, "outside": 0, "columns": {}}
    assert describe_ranges(found, "m version 3") is None
    assert describe_ranges(None, "m version 3") is None


def test_numbers_that_training_saw_in_single_precision_are_inside() -> None:
    values = np.array([0.1, 1234.56])
    assert find({"a": values.astype("float32")}, {"a": values})["outside"] == 0
    assert find({"a": values}, {"a": [np.inf, 1234.57]})["outside"] == 2
