"""Profiles of data, and what two of them say of drift."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from regrow.checks.drift import (
    Finding,
    compare_profiles,
    kolmogorov_smirnov,
    population_stability_index,
)
from regrow.checks.profiles import profile_table

Generator = np.random.Generator


@pytest.fixture
def rng() -> Generator:
    return np.random.default_rng(20040310)


def profile(**columns: Any) -> dict[str, Any]:
    """A profile that went through JSON, as the champion's does; JSON has no NaN."""
    frame = pd.DataFrame(columns)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = json.dumps(profile_table(frame, list(frame.columns)))
    made: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return made


def warnings_of(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(f["column"], f["check"]) for f in findings if f["level"] == "warning"}


def test_same_distribution_gives_no_warning(rng: Generator) -> None:
    before = profile(a=rng.normal(10, 3, 3000), b=rng.poisson(2, 3000))
    now = profile(a=rng.normal(10, 3, 1000), b=rng.poisson(2, 1000))
    findings = compare_profiles(before, now)
    assert warnings_of(findings) == set()
    assert {(f["column"], f["check"]) for f in findings} == {
        (column, check) for column in "ab" for check in ("missing", "psi", "ks")
    }


def test_shift_warns_by_both_figures(rng: Generator) -> None:
    values = rng.normal(10, 3, 3000)
    findings = compare_profiles(profile(a=values), profile(a=values + 3))
    assert warnings_of(findings) == {("a", "psi"), ("a", "ks")}
    psi = next(f for f in findings if f["check"] == "psi")
    assert psi["threshold"] == 0.25
    assert psi["sentence"].startswith(
        f"a: PSI {psi['value']:.3f} (limit 0.25); the mean changed from "
    )


def test_thresholds_are_the_callers(rng: Generator) -> None:
    values = rng.normal(0, 1, 2000)
    before, now = profile(a=values), profile(a=values + 0.25)
    assert warnings_of(compare_profiles(before, now)) == set()
    strict = compare_profiles(before, now, psi_warn=0.03, ks_warn=0.05)
    assert warnings_of(strict) == {("a", "psi"), ("a", "ks")}


def test_jump_of_the_missing_rate_warns(rng: Generator) -> None:
    values = rng.normal(0, 1, 1000)
    gaps = np.where(np.arange(1000) % 10 == 0, np.nan, values)
    findings = compare_profiles(profile(a=values), profile(a=gaps))
    assert warnings_of(findings) == {("a", "missing")}
    assert findings[0]["sentence"] == "a: missing in 10.0% of the rows; previously 0.0%"
    assert findings[0]["value"] == pytest.approx(0.1)
    assert warnings_of(compare_profiles(profile(a=gaps), profile(a=values))) == {("a", "missing")}
    assert warnings_of(compare_profiles(profile(a=values), profile(a=gaps), missing_warn=0.2)) == (
        set()
    )


def test_renamed_column_warns_twice(rng: Generator) -> None:
    values = rng.normal(0, 1, 500)
    findings = compare_profiles(profile(old=values), profile(new=values))
    assert [f["sentence"] for f in findings] == [
        "old: the column is missing",
        "new: the column is new",
    ]
    assert warnings_of(findings) == {("old", "schema"), ("new", "schema")}


def test_changed_type_warns(rng: Generator) -> None:
    numbers = rng.integers(0, 9, 500)
    findings = compare_profiles(profile(a=numbers), profile(a=numbers.astype(str)))
    assert warnings_of(findings) == {("a", "schema")}
    assert findings[0]["sentence"] == "a: changed from number to text"
    # A whole number that is stored as a float is the same number.
    assert warnings_of(compare_profiles(profile(a=numbers), profile(a=numbers * 1.0))) == set()


@pytest.mark.parametrize("seed", range(40))
def test_distance_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def draw() -> Any:
        size = int(rng.integers(100, 4000))
        return (
            rng.normal(rng.normal(), rng.uniform(0.5, 2), size),
            rng.integers(-2, int(rng.integers(2, 9)), size),
            np.concatenate([rng.normal(-4, 1, size), np.zeros(size // 2)]),
            rng.exponential(rng.uniform(0.1, 3), size),
        )[int(rng.integers(4))]

    left, right = draw(), draw()
    one, other = profile(a=left)["a"], profile(a=right)["a"]
    found = kolmogorov_smirnov(one["quantiles"], other["quantiles"])
    assert found == pytest.approx(ks_2samp(left, right).statistic, abs=1 / 200 + 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_psi_from_profiles_is_near_that_of_the_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = rng.normal(0, 1, 4000)
    right = rng.normal(rng.uniform(-0.7, 0.7), rng.uniform(0.8, 1.3), 3000)
    bins = [-np.inf, *np.quantile(left, np.arange(1, 10) / 10), np.inf]
    p, q = (np.histogram(values, bins)[0] / len(values) for values in (left, right))
    one, other = profile(a=left)["a"], profile(a=right)["a"]
    found = population_stability_index(one["quantiles"], other["quantiles"])
    assert found == pytest.approx(float(np.sum((q - p) * np.log(q / p))), rel=0.15, abs=0.005)


def test_psi_by_hand() -> None:
    # Nine tenths of the new values fall into what was the lowest tenth, the rest into the highest.
    reference, current = list(range(1, 101)), [1] * 90 + [100] * 10
    expected = (
        (0.9 - 0.1) * np.log(0.9 / 0.1)
        + (0.1 - 0.1) * np.log(1.0)
        + 8 * (1e-4 - 0.1) * np.log(1e-4 / 0.1)
    )
    assert population_stability_index(reference, current) == pytest.approx(expected)
    assert population_stability_index(reference, reference) == 0


@pytest.mark.parametrize("moved", [-1.0, 1.0])
def test_constant_column_that_moves_warns(moved: float) -> None:
    before, now = profile(a=[5.0] * 300), profile(a=[5.0 + moved] * 300)
    assert ("a", "ks") in warnings_of(compare_profiles(before, now))
    assert warnings_of(compare_profiles(before, before)) == set()


def test_column_that_lost_all_its_values_is_missing_and_of_no_other_type() -> None:
    before, now = profile(a=[1.0] * 200), profile(a=pd.Series([None] * 200, dtype=object))
    assert warnings_of(compare_profiles(before, now)) == {("a", "missing")}


def test_few_values_are_not_judged_by_their_distribution(rng: Generator) -> None:
    findings = compare_profiles(profile(a=rng.normal(0, 1, 3000)), profile(a=rng.normal(9, 1, 99)))
    assert [f["check"] for f in findings] == ["missing"]


def test_later_times_are_no_drift() -> None:
    before = profile(t=pd.date_range("2004-03-10", periods=500, freq="h"))
    now = profile(t=pd.date_range("2005-03-10", periods=500, freq="h"))
    assert warnings_of(compare_profiles(before, now)) == set()
    assert before["t"]["min"] == "2004-03-10 00:00:00"


def test_categories_are_compared(rng: Generator) -> None:
    before = profile(a=rng.choice(["x", "y", "z"], 1000, p=[0.5, 0.3, 0.2]), b=[True, False] * 500)
    again = profile(a=rng.choice(["x", "y", "z"], 1000, p=[0.5, 0.3, 0.2]), b=[False, True] * 500)
    moved = profile(a=rng.choice(["x", "y", "new"], 1000, p=[0.1, 0.3, 0.6]), b=[True] * 1000)
    assert warnings_of(compare_profiles(before, again)) == set()
    assert warnings_of(compare_profiles(before, moved)) == {("a", "psi"), ("b", "psi")}
    endless = profile(a=[f"text {n}" for n in range(1000)], b=[True, False] * 500)
    assert warnings_of(compare_profiles(before, endless)) == {("a", "schema")}


SIZE = 120
ODD_COLUMNS: dict[str, Any] = {
    "constant": [1.5] * SIZE,
    "all missing": [np.nan] * SIZE,
    "all missing objects": pd.Series([None] * SIZE, dtype=object),
    "all missing texts": pd.Series([None] * SIZE, dtype="str"),
    "all missing times": pd.Series([pd.NaT] * SIZE, dtype="datetime64[ns]"),
    "integers": range(SIZE),
    "nullable integers": pd.Series([1, None, 3] * 40, dtype="Int64"),
    "unsigned bytes": np.arange(SIZE, dtype="uint8"),
    "huge": [1e308, -1e308] * 60,
    "infinite": [np.inf, -np.inf, 0.0] * 40,
    "booleans": [True, False] * 60,
    "nullable booleans": pd.Series([True, None] * 60, dtype="boolean"),
    "texts": ["one", None, "three"] * 40,
    "categories": pd.Categorical(["p", "q"] * 60),
    "times": pd.date_range("2004-03-10", periods=SIZE, freq="h"),
    "zoned times": pd.date_range("2004-03-10", periods=SIZE, freq="h", tz="Europe/Rome"),
    "dates": [datetime.date(2004, 3, 10)] * SIZE,
    "durations": pd.to_timedelta(range(SIZE), unit="h"),
    "lists": [[1, 2]] * SIZE,
    "bytes": [b"\xff\x00"] * SIZE,
    "arrow": pd.Series([1.0, None] * 60, dtype="float64[pyarrow]"),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_any_column_can_be_profiled_and_compared(name: str) -> None:
    made = profile(**{name: ODD_COLUMNS[name]})
    assert made[name]["rows"] == SIZE
    assert warnings_of(compare_profiles(made, made)) == set()


@pytest.mark.filterwarnings("error")
def test_numbers_at_the_limits_raise_no_warnings() -> None:
    made = profile(**{name: ODD_COLUMNS[name] for name in ("huge", "infinite", "all missing")})
    assert made["infinite"]["missing"] == pytest.approx(2 / 3, abs=1e-6)
    assert made["all missing"]["missing"] == 1


def test_table_without_rows_has_a_profile() -> None:
    made = profile(a=pd.Series([], dtype=float), b=pd.Series([], dtype="str"))
    assert made["a"] == {"dtype": "number", "rows": 0, "missing": 0.0}
    assert compare_profiles(made, profile(a=[1.0] * 200, b=["x"] * 200))


def test_profile_is_small_however_long_the_table(rng: Generator) -> None:
    made = profile(a=rng.normal(0, 1, 200_000), b=[f"text {n}" for n in range(200_000)])
    assert len(json.dumps(made)) < 6000
