"""What a validation leaves: its page, its results and its failures."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regrow.checks.expectations import Expectation
from regrow.checks.profiles import profile_table
from regrow.checks.validation import ReferenceProfile
from tests.support.checks import BETWEEN, NOT_NULL, ROWS, Place, expect, make_frame, warn

HOSTILE = (
    """<script src="https://evil.example/x.js">alert('1')</script><img src=x onerror=y>{{ 7*7 }}"""
)


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
