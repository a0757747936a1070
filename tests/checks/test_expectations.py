"""Validation with the real Great Expectations, on small tables."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regrow.base.errors import DataError, UserError
from regrow.checks.expectations import Expectation, check_frame
from tests.support.checks import BETWEEN, NOT_NULL, ROWS, Place, expect, make_frame, warn


def test_table_that_meets_all_passes(place: Place) -> None:
    facts = place.validate(make_frame(), BETWEEN, NOT_NULL)
    assert facts == {"passed": 2, "failed": 0, "warnings": 0, "drifted_columns": 0}
    assert sorted(path.name for path in place.out.iterdir()) == [
        "validation.html",
        "validation.json",
    ]
    assert not place.failures.parent.exists()
    check = place.results()["expectations"][0]
    assert check["expectation"] == "value values must be at least 0 and at most 1000"
    assert check["kwargs"] == {"column": "value", "min_value": 0, "max_value": 1000}
    assert (check["success"], check["rows"], check["unexpected"]) == (True, ROWS, 0)
    assert "The data passed validation." in place.page()


def test_failure_names_counts_and_examples(place: Place) -> None:
    frame = make_frame()
    frame.loc[[3, 5, 8, 9, 10, 11, 12], "value"] = [-5, 9000, -1, -2, -3, -4, np.inf]
    frame.loc[4, "value"] = np.nan
    message = place.fail(frame, BETWEEN, NOT_NULL)
    assert message.startswith("the data does not meet 2 of 2 expectations; nothing was trained\n")
    assert f"{place.table}, 200 rows, counted from 0" in message
    assert (
        "value values must be at least 0 and at most 1000: violated in 7 of 200 rows (3.5 %)"
        in (message)
    )
    assert "reason: it is measured in µg/m³" in message
    assert "-5 in row 3, timestamp 2004-03-10 21:00:00" in message
    assert "9000 in row 5, timestamp 2004-03-10 23:00:00" in message
    assert "-4 in row 11" not in message  # the sixth
    assert "value values must never be null: violated in 1 of 200 rows (0.5 %)" in message
    assert "missing in row 4, timestamp 2004-03-10 22:00:00" in message
    assert f"1. see all results: {place.failures / 'validation.html'}" in message

    assert sorted(p.name for p in place.failures.iterdir()) == [
        "validation.html",
        "validation.json",
    ]
    assert [p.name for p in place.failures.parent.iterdir()] == ["model"]
    check = place.results(failed=True)["expectations"][0]
    assert (check["rows"], check["missing"], check["unexpected"]) == (200, 1, 7)
    assert check["unexpected_share"] == 0.035
    assert check["examples"][0] == {"row": 3, "value": -5.0, "id": "2004-03-10 21:00:00"}
    assert len(check["examples"]) == 5


def test_warnings_do_not_stop(place: Place) -> None:
    unique = warn("column_values_to_be_unique", column="label")
    facts = place.validate(make_frame(), BETWEEN, unique)
    assert facts == {"passed": 1, "failed": 0, "warnings": 1, "drifted_columns": 0}
    result = place.results()
    assert result["success"] is True
    assert result["warnings"] == [
        "label values must be unique: violated in 200 of 200 rows (100 %)",
    ]
    assert ">Warnings<" in place.page()


def test_share_that_may_fail_is_allowed(place: Place) -> None:
    frame = make_frame(value=[None] * 10 + [1.0] * (ROWS - 10))
    most = expect("column_values_to_not_be_null", column="value", mostly=0.9)
    place.validate(frame, most)
    assert "at least 90 % of the time" in place.results()["expectations"][0]["expectation"]
    frame.loc[:50, "value"] = np.nan
    place.out = place.folder / "second"
    assert "violated in 51 of 200 rows (25.5 %)" in place.fail(frame, most)


def test_table_without_rows_is_an_error_of_its_own(place: Place) -> None:
    message = place.fail(make_frame().iloc[:0], BETWEEN)
    assert message.startswith("the cleaned table has no rows; nothing was trained")


def test_unknown_expectation_is_named(place: Place) -> None:
    with pytest.raises(UserError) as caught:
        place.validate(make_frame(), expect("column_values_to_be_betwixt", column="value"))
    assert "expect_column_values_to_be_betwixt" in str(caught.value)
    assert "expect_column_values_to_be_between" in str(caught.value)
    assert not isinstance(caught.value, DataError)


@pytest.mark.parametrize(
    ("kwargs", "complaint"),
    [
        ({"column": "value", "minimum": 3}, "minimum: extra fields not permitted"),
        ({"min_value": 3}, "column: field required"),
        ({"column": "value", "min_value": 3, "mostly": 3}, "mostly: ensure this value is less"),
        ({"column": "value"}, "min_value and max_value cannot both be None"),
    ],
)
def test_wrong_arguments_are_named(kwargs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        check_frame(make_frame(), [expect("column_values_to_be_between", **kwargs)])
    assert "wrong arguments for expect_column_values_to_be_between" in str(caught.value)
    assert complaint in str(caught.value)


def test_severity_must_be_one_of_two() -> None:
    with pytest.raises(ValueError, match="not 'warn'"):
        Expectation("expect_column_to_exist", {"column": "a"}, "", severity="warn")  # type: ignore[arg-type]


def test_exception_inside_an_expectation_is_a_failure(place: Place) -> None:
    message = place.fail(
        make_frame(),
        expect("column_values_to_be_between", column="label", min_value=0),
        BETWEEN,
        expect("column_values_to_match_regex", column="label", regex="["),
        expect("column_values_to_not_be_null", column="renamed"),
    )
    assert "the data does not meet 3 of 4 expectations" in message
    assert "label values must be at least 0: could not be checked: Column values, min_v" in message
    assert "regular expression: [: could not be checked: Invalid regular expression" in message
    assert 'never be null: could not be checked: Error: The column "renamed"' in message
    checks = place.results(failed=True)["expectations"]
    assert [check["success"] for check in checks] == [False, True, False, False]
    assert "Could not be checked:" in place.page(failed=True)


def test_exception_inside_a_warning_is_no_pass(place: Place) -> None:
    facts = place.validate(make_frame(), warn("column_to_exist", column="x"), BETWEEN)
    assert (facts["passed"], facts["warnings"]) == (1, 1)
    place.out = place.folder / "second"
    facts = place.validate(make_frame(), warn("column_values_to_be_unique", column="x"), BETWEEN)
    assert (facts["passed"], facts["warnings"]) == (1, 1)
    assert 'could not be checked: Error: The column "x"' in place.results()["warnings"][0]


def test_column_that_is_all_missing(place: Place) -> None:
    mean = expect("column_mean_to_be_between", column="value", min_value=0)
    message = place.fail(make_frame(value=[np.nan] * ROWS), BETWEEN, NOT_NULL, mean)
    assert "all 200 rows, 200 of them without a value" in place.page(failed=True)
    assert "the data does not meet 2 of 3 expectations" in message
    assert "value values must never be null: violated in 200 of 200 rows (100 %)" in message
    assert "value mean must be at least 0: violated; found: missing" in message


def test_renamed_columns_are_told(place: Place) -> None:
    ordered = expect("table_columns_to_match_ordered_list", column_list=["timestamp", "v", "label"])
    listed = expect("table_columns_to_match_set", column_set=["timestamp", "v", "label"])
    message = place.fail(make_frame(), ordered, listed)
    assert "violated; found: column 2 is value instead of v" in message
    assert "violated; found: unexpected: value; missing: v" in message


def test_answers_in_numpy_types_are_taken(place: Place) -> None:
    # Great Expectations cannot store this one's numpy.bool_ itself.
    ranges = {"quantiles": [0.5], "value_ranges": [[90, 110]]}
    quantiles = expect(
        "column_quantile_values_to_be_between", column="value", quantile_ranges=ranges
    )
    assert place.validate(make_frame(), quantiles)["passed"] == 1
    place.out = place.folder / "second"
    message = place.fail(make_frame(value=[7.0] * ROWS), quantiles)
    assert "violated; found: {'quantiles': [0.5], 'values': [7.0]}" in message


def test_several_columns_show_all_their_values(place: Place) -> None:
    frame = make_frame(value=[1.0] * ROWS)
    pair = expect("compound_columns_to_be_unique", column_list=["value", "label"])
    assert "value 1, label b in row 1, timestamp 2004-03-10 19:00:00" in place.fail(frame, pair)


def test_lists_count_by_their_length(place: Place) -> None:
    lists = [["a"] * (row % 4 + 1) for row in range(ROWS)]
    frame = make_frame(story=[*lists[:-1], None])
    short = expect("column_values_to_be_between", column="story", min_value=1, max_value=4)
    facts = place.validate(frame, short, expect("column_values_to_be_unique", column="timestamp"))
    assert facts["passed"] == 2

    other = Place(place.folder / "other")
    other.folder.mkdir()
    three = expect("column_values_to_be_between", column="story", max_value=3)
    said = other.fail(frame, three, expect("column_values_to_not_be_null", column="story"))
    assert "violated in 49 of 200 rows" in said
    assert "4 in row 3" in said
    assert "never be null: violated in 1 of 200 rows" in said


def test_runs_in_one_process_do_not_meet() -> None:
    def count(bad: int) -> list[Any]:
        frame = pd.DataFrame({"value": [-1.0] * bad + [1.0] * 5})
        return [check["unexpected"] for check in check_frame(frame, [BETWEEN, BETWEEN])]

    assert [count(1), count(2), count(0)] == [[1, 1], [2, 2], [0, 0]]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(12))) == [[bad, bad] for bad in range(12)]


def test_table_is_not_held_in_memory_afterwards() -> None:
    check_frame(pd.DataFrame({"value": [1.0] * 12_345}), [BETWEEN])
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) is pd.DataFrame and len(o) == 12_345]
