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
            "a row without a target cannot be used for training",
            column=columns.target,
        )
    ]
    if columns.id:
        found.append(
            expect(
                "column_values_to_be_unique",
                "two rows with the same id could be in both the training and the test rows",
                column=columns.id,
            )
        )
    # A column without values has no influence, and usually a fault upstream.
    found += [
        Expectation(
            "expect_column_values_to_not_be_null",
            {"column": name, "mostly": 0.01},
            "a column without values contains no information",
        )
        for name in columns.inputs
    ]
    return found
