"""What must hold of every cleaned table, whatever a model expects beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regrow.checks.expectations import Expectation, expect

if TYPE_CHECKING:
    from regrow.tabular.model import Columns


def usual_expectations(columns: Columns) -> list[Expectation]:
    """The expectations that follow from what the columns are for."""
    found = [
        expect(
            "column_values_to_not_be_null",
            "a row without a target cannot be learned from",
            column=columns.target,
        )
    ]
    if columns.id:
        found.append(
            expect(
                "column_values_to_be_unique",
                "two rows with one id could be in training and in test rows",
                column=columns.id,
            )
        )
    # A column without values has no influence, and usually a fault upstream.
    found += [
        Expectation(
            "expect_column_values_to_not_be_null",
            {"column": name, "mostly": 0.01},
            "a column without values says nothing",
        )
        for name in columns.inputs
    ]
    return found
