"""Validation with the real Great Expectations, on small tables."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regrow.base.errors import DataError, UserError
from regrow.checks.expectations import Expectation, check_frame
from regrow.checks.profiles import profile_table
from regrow.checks.validation import ReferenceProfile, validate_table

ROWS = 200
HOSTILE = (
    """<script src="https://evil.example/x.js">alert('1')</script><img src=x onerror=y>{{ 7*7 }}"""
)


def expect(kind: str, **kwargs: Any) -> Expectation:
    return Expectation(f"expect_{kind}", kwargs, "it is measured in µg/m³")


def warn(kind: str, **kwargs: Any) -> Expectation:
    return Expectation(f"expect_{kind}", kwargs, "it would be strange", severity="warning")


BETWEEN = expect("column_values_to_be_between", column="value", min_value=0, max_value=1000)
NOT_NULL = expect("column_values_to_not_be_null", column="value")


def make_frame(**changes: Any) -> pd.DataFrame:
    columns = {
        "timestamp": pd.date_range("2004-03-10 18:00", periods=ROWS, freq="h"),
        "value": np.arange(ROWS, dtype="float64"),
        "label": ["a", "b"] * (ROWS // 2),
    }
    return pd.DataFrame({**columns, **changes})


class Place:
    """A table in a folder of its own, and where its results go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = folder / "table.parquet"
        self.out = folder / "out"
        self.failures = folder / "failures" / "model"

    def validate(self, frame: pd.DataFrame, *stated: Expectation, **options: Any) -> dict[str, Any]:
        frame.to_parquet(self.table)
        return validate_table(
            self.table,
            stated,
            self.out,
            failures=self.failures,
            id_column="timestamp",
            **options,
        )

    def fail(self, frame: pd.DataFrame, *stated: Expectation, **options: Any) -> str:
        """The message of the failure that must come."""
        with pytest.raises(DataError) as caught:
            self.validate(frame, *stated, **options)
        assert not self.out.exists()
        return str(caught.value)

    def results(self, *, failed: bool = False) -> dict[str, Any]:
        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        path = (self.failures if failed else self.out) / "validation.json"
        made: dict[str, Any] = json.loads(path.read_text("utf-8"), parse_constant=refuse)
        return made

    def page(self, *, failed: bool = False) -> str:
        return ((self.failures if failed else self.out) / "validation.html").read_text("utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


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


def test_failed_come_first_on_the_page(place: Place) -> None:
    place.fail(
        make_frame(),
        NOT_NULL,
        warn("column_values_to_be_unique", column="label"),
        expect("column_values_to_be_between", column="value", max_value=100),
    )
    page = place.page(failed=True)
    headings = ("did not pass", ">Failed<", "at most 100", ">Warnings<", "unique", ">Met<", "null")
    found = [page.index(text) for text in headings]
    assert found == sorted(found)
    assert "2004-03-14 23:00:00" in page  # the hour of the first value above 100


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


def test_same_data_gives_the_same_bytes(place: Place, tmp_path: Path) -> None:
    letters = "abcdefghijkl"
    allowed = expect("column_values_to_be_in_set", column="label", value_set=set(letters))
    place.validate(make_frame(), BETWEEN, allowed)
    # A set has another order in every process.
    assert place.results()["expectations"][1]["kwargs"]["value_set"] == list(letters)
    other = Place(tmp_path / "elsewhere")
    other.folder.mkdir()
    other.validate(make_frame(), BETWEEN, allowed)
    for name in ("validation.json", "validation.html"):
        assert (place.out / name).read_bytes() == (other.out / name).read_bytes()


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_self_contained_and_escapes_what_the_data_says(place: Place) -> None:
    frame = make_frame(label=[HOSTILE, *["b"] * (ROWS - 1)])
    frame[HOSTILE] = [HOSTILE] * ROWS
    stated = Expectation(
        "expect_column_values_to_be_in_set",
        {"column": HOSTILE, "value_set": [HOSTILE * 2]},
        HOSTILE,
    )
    place.fail(
        frame,
        stated,
        expect("column_values_to_be_in_set", column="label", value_set=["b"]),
        warn("column_values_to_be_between", column=HOSTILE, min_value=1),
        reference=ReferenceProfile(HOSTILE, {HOSTILE: profile_table(frame, ["value"])["value"]}),
    )
    page = Elements(place.page(failed=True))
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"}
    )
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on")}, tag
        assert attributes.keys().isdisjoint({"src", "href", "srcset", "action", "style"}), tag
    assert "url(" not in place.page(failed=True)
    assert "@import" not in place.page(failed=True)
    assert HOSTILE[:60] in page.text


def test_long_values_and_lists_are_cut(place: Place) -> None:
    frame = make_frame(label=["x" * 5000] * ROWS)
    words = [f"word {n}" for n in range(5000)]
    message = place.fail(
        frame,
        expect("column_values_to_be_in_set", column="label", value_set=words),
        expect("column_values_to_match_regex", column="label", regex="^[a-c]$"),
    )
    assert len(message) < 4000
    assert "x" * 79 + "… in row 0" in message
    kept = place.results(failed=True)["expectations"][0]["kwargs"]["value_set"]
    assert kept == [*words[:50], "and 4,950 more"]
    assert len(place.page(failed=True)) < 30_000


def test_later_failure_replaces_the_earlier_whole(place: Place) -> None:
    leftover = place.failures.with_name(".model.writing")
    leftover.mkdir(parents=True)
    (leftover / "validation.json").write_text("half")
    place.fail(make_frame(value=[-1.0] * ROWS), BETWEEN)
    (place.failures / "of an earlier version.txt").write_text("old")
    place.fail(make_frame(value=[-2.0] * ROWS), BETWEEN)
    assert place.results(failed=True)["expectations"][0]["examples"][0]["value"] == -2
    assert sorted(path.name for path in place.failures.iterdir()) == [
        "validation.html",
        "validation.json",
    ]
    assert [path.name for path in place.failures.parent.iterdir()] == ["model"]


def test_failure_is_told_even_where_its_page_cannot_be_kept(place: Place) -> None:
    place.failures.parent.write_text("a file where the folder should be")
    message = place.fail(make_frame(value=[-1.0] * ROWS), BETWEEN)
    assert "violated in 200 of 200 rows (100 %)" in message
    assert "1. the page with all results could not be saved: " in message


def test_drift_is_shown_and_never_fails(place: Place) -> None:
    old = make_frame(gone=1.0)
    reference = ReferenceProfile(
        "air-quality version 7", profile_table(old, ["value", "label", "gone"])
    )
    facts = place.validate(make_frame(value=np.arange(ROWS) + 80.0), BETWEEN, reference=reference)
    assert facts == {"passed": 1, "failed": 0, "warnings": 3, "drifted_columns": 2}
    result = place.results()
    assert result["drift_against"] == "air-quality version 7"
    assert {(f["column"], f["check"]) for f in result["drift"] if f["level"] == "warning"} == {
        ("value", "psi"),
        ("value", "ks"),
        ("gone", "schema"),
    }
    assert "gone: the column is missing" in result["warnings"]
    page = Elements(place.page()).text
    assert "Comparison with the champion’s training data" in page
    assert "Compared with the training data of air-quality version 7" in page


@pytest.mark.parametrize("profile", [{"value": {}}, {"value": {"dtype": 3}}, {"value": None}])
def test_profile_of_another_make_is_a_warning(place: Place, profile: dict[str, Any]) -> None:
    facts = place.validate(make_frame(), BETWEEN, reference=ReferenceProfile("version 1", profile))
    assert facts["warnings"] == 1
    assert len(place.results()["drift"]) == 1


def test_importing_costs_neither_great_expectations_nor_pandas() -> None:
    code = """
        import sys
        import regrow.checks.expectations, regrow.checks.validation
        heavy = {"great_expectations", "pandas", "numpy", "pyarrow", "jinja2"}
        print(sorted(heavy & {*sys.modules}))
    """
    assert run_python(code).stdout.strip() == "[]"


@pytest.mark.slow
def test_no_address_is_looked_up_and_nothing_is_printed(place: Place) -> None:
    make_frame().to_parquet(place.table)
    done = run_python(
        """
        import os, socket, sys
        from pathlib import Path

        os.environ.pop("GX_ANALYTICS_ENABLED", None)
        attempts = []

        def refuse(*arguments, **_options):
            attempts.append(arguments)
            raise OSError("no network here")

        socket.getaddrinfo = socket.create_connection = refuse
        socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse

        from regrow.checks.expectations import Expectation
        from regrow.checks.validation import validate_table

        table, out = map(Path, sys.argv[1:])
        between = "expect_column_values_to_be_between"
        stated = [Expectation(between, {"column": "value", "min_value": 0}, "it is a count")]
        facts = validate_table(table, stated, out, failures=out / "failures")
        assert facts["passed"] == 1
        assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
        print("attempts:", attempts)
        """,
        str(place.table),
        str(place.out),
    )
    assert done.stdout.strip() == "attempts: []"
    assert done.stderr == ""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
