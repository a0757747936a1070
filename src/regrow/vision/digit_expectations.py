"""What must hold of the clean table of digits."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.vision.digits import CLASSES, INK_MAX

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training selects columns by name",
        column_list=["digit_id", "label", "split", "digest", "ink", "darkest", "pixels"],
    ),
    expect(
        "table_row_count_to_be_between",
        "with fewer digits the test split is too small to compare models",
        min_value=1000,
    ),
    expect("column_values_to_be_unique", "each digit is one row", column="digit_id"),
    expect(
        "column_distinct_values_to_equal_set",
        "the model must learn every digit from 0 to 9",
        column="label",
        value_set=list(range(CLASSES)),
    ),
    expect(
        "column_values_to_be_unique",
        "duplicate pictures would be counted twice",
        column="digest",
        mostly=0.99,
    ),
    expect(
        "column_distinct_values_to_equal_set",
        "training, validation and test data must not be empty",
        column="split",
        value_set=["train", "validation", "test"],
    ),
    expect(
        "column_values_to_be_between",
        "a blank or completely dark picture is not a digit; the mean pixel value is about 5",
        column="ink",
        min_value=1,
        max_value=12,
    ),
    expect(
        "column_values_to_be_between",
        "a written stroke contains at least one nearly black pixel",
        column="darkest",
        min_value=8,
        max_value=INK_MAX,
    ),
)
