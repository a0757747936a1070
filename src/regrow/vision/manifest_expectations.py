"""What must hold of a manifest of pictures."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.vision.decoding import MAX_PIXELS, MIN_SIDE
from regrow.vision.manifest import COLUMNS, MEASURES

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training selects columns by name",
        column_list=[*COLUMNS, *MEASURES],
    ),
    expect("table_row_count_to_be_between", "at least one picture is required", min_value=1),
    expect("column_values_to_be_unique", "pictures are identified by name", column="name"),
    expect(
        "column_values_to_match_regex",
        "pictures are identified by the digest of their file",
        column="sha256",
        regex="^[0-9a-f]{64}$",
    ),
    *(
        expect(
            "column_values_to_be_between",
            "smaller pictures vanish after five pooling layers; larger ones are not photos",
            column=side,
            min_value=MIN_SIDE,
            max_value=MAX_PIXELS // MIN_SIDE,
        )
        for side in ("width", "height")
    ),
    expect(
        "column_values_to_be_between",
        "a picture with uniform brightness has no content",
        column="contrast",
        min_value=8,
    ),
    expect(
        "column_distinct_values_to_contain_set",
        "at least one photo is required",
        column="role",
        value_set=["photo"],
    ),
)
