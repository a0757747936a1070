"""What must hold of the clean table of scenes."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.models.digit_localisation.data import BOX
from regrow.models.digit_localisation.scenes import CANVAS
from regrow.vision.digits import CLASSES

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training selects columns by name",
        column_list=[
            *("scene_id", "split", "digit_id", "label"),
            *BOX,
            *("width", "height", "pixels"),
        ],
    ),
    expect("column_values_to_be_unique", "each scene is one row", column="scene_id"),
    expect(
        "column_distinct_values_to_equal_set",
        "the model must learn every digit from 0 to 9",
        column="label",
        value_set=list(range(CLASSES)),
    ),
    expect(
        "column_distinct_values_to_equal_set",
        "training, validation and test data must not be empty",
        column="split",
        value_set=["train", "validation", "test"],
    ),
    *(
        expect(
            "column_values_to_be_between",
            "the digit lies within the canvas",
            column=name,
            min_value=0,
            max_value=CANVAS,
        )
        for name in BOX
    ),
    *(
        expect(
            "column_values_to_be_between",
            "smaller digits cannot be recognised, and larger ones do not fit",
            column=name,
            min_value=2,
            max_value=24,
        )
        for name in ("width", "height")
    ),
)
