"""Small tables, expectations of them, and a place to validate them at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regrow.base.errors import DataError
from regrow.checks.expectations import Expectation
from regrow.checks.validation import validate_table

ROWS = 200


def expect(kind: str, **kwargs: Any) -> Expectation:
    return Expectation(f"expect_{kind}", kwargs, "it is measured in µg/m³")


def warn(kind: str, **kwargs: Any) -> Expectation:
    return Expectation(f"expect_{kind}", kwargs, "it would be strange", severity="warning")


BETWEEN = expect("column_values_to_be_between", column="value", min_value=0, max_value=1000)


NOT_NULL = expect("column_values_to_not_be_null", column="value")


def make_frame(**changes: Any) -> pd.DataFrame:
    columns = {
        "timestamp": pd.date_range("2004-03-10 18:00", periods=ROWS, freq="h"),
        "value": np.arange(ROWS, dtype="float64"),
        "label": ["a", "b"] * (ROWS // 2),
    }
    return pd.DataFrame({**columns, **changes})


class Place:
    """A table in a folder of its own, and where its results go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = folder / "table.parquet"
        self.out = folder / "out"
        self.failures = folder / "failures" / "model"

    def validate(self, frame: pd.DataFrame, *stated: Expectation, **options: Any) -> dict[str, Any]:
        frame.to_parquet(self.table)
        return validate_table(
            self.table,
            stated,
            self.out,
            failures=self.failures,
            id_column="timestamp",
            **options,
        )

    def fail(self, frame: pd.DataFrame, *stated: Expectation, **options: Any) -> str:
        """The message of the failure that must come."""
        with pytest.raises(DataError) as caught:
            self.validate(frame, *stated, **options)
        assert not self.out.exists()
        return str(caught.value)

    def results(self, *, failed: bool = False) -> dict[str, Any]:
        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        path = (self.failures if failed else self.out) / "validation.json"
        made: dict[str, Any] = json.loads(path.read_text("utf-8"), parse_constant=refuse)
        return made

    def page(self, *, failed: bool = False) -> str:
        return ((self.failures if failed else self.out) / "validation.html").read_text("utf-8")
