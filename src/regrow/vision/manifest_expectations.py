"""What must hold of a manifest of pictures."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.vision.decoding import MAX_PIXELS, MIN_SIDE
from regrow.vision.manifest import COLUMNS, MEASURES

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training picks columns by name",
        column_list=[*COLUMNS, *MEASURES],
    ),
    expect("table_row_count_to_be_between", "there is a picture", min_value=1),
    expect("column_values_to_be_unique", "a picture is found by its name", column="name"),
    expect(
        "column_values_to_match_regex",
        "a picture is known by the digest of its file",
        column="sha256",
        regex="^[0-9a-f]{64}$",
    ),
    *(
        expect(
            "column_values_to_be_between",
            "after five poolings nothing is left of a smaller picture; a larger one is no photo",
            column=side,
            min_value=MIN_SIDE,
            max_value=MAX_PIXELS // MIN_SIDE,
        )
        for side in ("width", "height")
    ),
    expect(
        "column_values_to_be_between",
        "on a picture of one brightness there is nothing to be seen",
        column="contrast",
        min_value=8,
    ),
    expect(
        "column_distinct_values_to_contain_set",
        "there is a photo to work on",
        column="role",
        value_set=["photo"],
    ),
)
