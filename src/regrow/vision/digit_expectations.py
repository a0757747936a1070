"""What must hold of the clean table of digits."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.vision.digits import CLASSES, INK_MAX

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training picks columns by name",
        column_list=["digit_id", "label", "split", "digest", "ink", "darkest", "pixels"],
    ),
    expect(
        "table_row_count_to_be_between",
        "with fewer digits the test split holds too few of each to tell models apart",
        min_value=1000,
    ),
    expect("column_values_to_be_unique", "a digit is one row", column="digit_id"),
    expect(
        "column_distinct_values_to_equal_set",
        "every digit from 0 to 9 is to be learnt",
        column="label",
        value_set=list(range(CLASSES)),
    ),
    expect(
        "column_values_to_be_unique",
        "a picture that stands twice counts twice",
        column="digest",
        mostly=0.99,
    ),
    expect(
        "column_distinct_values_to_equal_set",
        "there is something to train, to choose and to test on",
        column="split",
        value_set=["train", "validation", "test"],
    ),
    expect(
        "column_values_to_be_between",
        "a blank or a blackened picture is no digit; the mean of a pixel is about 5",
        column="ink",
        min_value=1,
        max_value=12,
    ),
    expect(
        "column_values_to_be_between",
        "some pixel of a written stroke is nearly black",
        column="darkest",
        min_value=8,
        max_value=INK_MAX,
    ),
)
