"""What must hold of the manifest of photos, styles and masks."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.vision.manifest_expectations import EXPECTATIONS as OF_PICTURES

EXPECTATIONS: tuple[Expectation, ...] = (
    *OF_PICTURES,
    expect(
        "column_distinct_values_to_contain_set",
        "there are a content and a style",
        column="role",
        value_set=["photo", "style"],
    ),
    expect(
        "column_values_to_be_in_set",
        "nothing else is used",
        column="role",
        value_set=["photo", "style", "mask"],
    ),
)
