"""What must hold of the manifest of photos, styles and masks."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.vision.manifest_expectations import EXPECTATIONS as OF_PICTURES

EXPECTATIONS: tuple[Expectation, ...] = (
    *OF_PICTURES,
    expect(
        "column_distinct_values_to_contain_set",
        "a content picture and a style picture are required",
        column="role",
        value_set=["photo", "style"],
    ),
    expect(
        "column_values_to_be_in_set",
        "no other roles are supported",
        column="role",
        value_set=["photo", "style", "mask"],
    ),
)
