"""Validation of a cleaned table: its result, the page that shows it, and the error of a failure.

A failed expectation stops the run before anything is trained. Differences from the data that the
champion was trained on are warnings.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.errors import DataError
from regrow.base.files import write_json
from regrow.checks.expectations import TEXT_CHARACTERS, Expectation, check_frame, shorten, show

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ReferenceProfile:
    """The profile of the champion's training data, and the label of its version."""

    label: str
    profile: Mapping[str, Any]


def validate_table(
    table: Path,
    expectations: Sequence[Expectation],
    out: Path,
    *,
    failures: Path,
    id_column: str | None = None,
    reference: ReferenceProfile | None = None,
) -> dict[str, Any]:
    """Checks a Parquet table; writes `validation.json` and `validation.html` into `out`.

    Args:
        out: the directory of the results if the table passes; otherwise nothing is written there.
        failures: the directory of the results if it fails; they outlive the failed run and replace
            those of an earlier failure.
        id_column: the column that identifies a row for a person.
        reference: what distributions are compared with; differences are warnings.

    Returns:
        The numbers of expectations that "passed" and "failed", of "warnings", drift included, and
        of "drifted_columns".

    Raises:
        DataError: no rows, or an expectation failed; names it, its rows, and examples.
        UserError: an expectation that Great Expectations does not know, or with wrong arguments.
    """
    frame = _read_table(table)
    checks = check_frame(frame, expectations, id_column=id_column)
    drift = compare_to_reference(frame, reference)
    result = _summarise(frame, checks, drift, id_column, reference)
    failed = [check for check in checks if not check["success"] and check["severity"] == "error"]
    if failed:
        raise _explain(table, result, failed, _keep_failure(result, failures))
    _write(result, out)
    return {
        "passed": sum(check["success"] for check in checks),
        "failed": 0,
        "warnings": len(result["warnings"]),
        "drifted_columns": len({f["column"] for f in drift if f["level"] == "warning"}),
    }


def _read_table(table: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    # A data frame's index that is kept in the file becomes a column like any other.
    frame: pd.DataFrame = pq.read_table(table).to_pandas(ignore_metadata=True)
    if frame.empty:
        raise DataError(
            "the cleaned table has no rows; nothing was trained",
            where=str(table),
            received=f"0 rows, {len(frame.columns)} columns",
            expected="at least one row",
            remedies=["check whether the source is empty or all its rows are unusable"],
        )
    return frame


def compare_to_reference(
    frame: pd.DataFrame, reference: ReferenceProfile | None
) -> list[dict[str, Any]]:
    """How far a table has moved from the champion's training data: see `compare_profiles`."""
    if reference is None:
        return []
    from regrow.checks.drift import compare_profiles
    from regrow.checks.profiles import profile_table

    columns = [name for name in reference.profile if name in frame.columns]
    try:
        return compare_profiles(reference.profile, profile_table(frame, columns))
    except (KeyError, TypeError, ValueError) as error:
        # Perhaps another version wrote it. This must not stop a run, and must not go unnoticed.
        text = f"the profile of {reference.label} cannot be compared ({error!r})"
        none = {"column": "", "value": None, "threshold": None}
        return [{**none, "check": "schema", "level": "warning", "sentence": text}]


def _summarise(
    frame: pd.DataFrame,
    checks: list[dict[str, Any]],
    drift: list[dict[str, Any]],
    id_column: str | None,
    reference: ReferenceProfile | None,
) -> dict[str, Any]:
    """The content of `validation.json`: no times or paths, so that equal data give equal bytes."""
    failed = [check for check in checks if not check["success"]]
    return {
        "success": all(check["severity"] == "warning" for check in failed),
        "rows": len(frame),
        "columns": len(frame.columns),
        "id_column": id_column if id_column in frame.columns else None,
        "expectations": checks,
        "drift_against": reference.label if reference else None,
        "drift": drift,
        "warnings": [
            *(_describe(check) for check in failed if check["severity"] == "warning"),
            *(finding["sentence"] for finding in drift if finding["level"] == "warning"),
        ],
    }


def _explain(
    table: Path, result: Mapping[str, Any], failed: Sequence[Mapping[str, Any]], kept: str
) -> DataError:
    total = len(result["expectations"])
    lines = []
    for check in failed:
        lines += [_describe(check), f"  reason: {check['why']}"]
        lines += [f"  {_show_example(e, result['id_column'])}" for e in check["examples"]]
    return DataError(
        f"the data does not meet {len(failed)} of {total} expectations; nothing was trained",
        where=f"{table}, {result['rows']:,} rows, counted from 0",
        received="\n".join(lines),
        expected="every expectation with severity error is met",
        remedies=[
            kept,
            "correct the data or its source and run again; the champion does not change until then",
            "if the data is right, change the expectation in the model's folder",
        ],
    )


def _describe(check: Mapping[str, Any]) -> str:
    """How an expectation failed, in one line."""
    if check["error"]:
        return f"{check['expectation']}: could not be checked: {check['error']}"
    if check["unexpected"] is not None:
        return f"{check['expectation']}: violated in {_count_rows(check)}"
    found = shorten(show(check["observed"]), TEXT_CHARACTERS)
    return f"{check['expectation']}: violated; found: {found}"


def _count_rows(check: Mapping[str, Any]) -> str:
    """The rows that do not meet an expectation: "2 of 9,357 rows (0.0214 %)"."""
    if not check["rows"]:
        return f"{check['unexpected']:,} values"
    share = f"{100 * check['unexpected'] / check['rows']:.3g} %"
    return f"{check['unexpected']:,} of {check['rows']:,} rows ({share})"


def _show_example(example: Mapping[str, Any], id_column: str | None) -> str:
    """One example: "-5 in row 3, timestamp 2004-03-10 21:00:00"."""
    text = show(example["value"])
    if "row" in example:
        text += f" in row {example['row']}"
    if "id" in example:
        text += f", {id_column} {show(example['id'])}"
    return text


def _keep_failure(result: Mapping[str, Any], failures: Path) -> str:
    """Replaces the results of an earlier failure; returns the remedy that names the new ones."""
    writing = failures.with_name(f".{failures.name}.writing")
    try:
        shutil.rmtree(writing, ignore_errors=True)  # what a killed run left
        _write(result, writing / "new")
        if failures.exists():
            failures.rename(writing / "old")
        (writing / "new").rename(failures)
    except OSError as error:  # such as a full disk: the failed data must be reported all the same
        return f"the page with all results could not be saved: {error}"
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return f"see all results: {failures / 'validation.html'}"


def _write(result: Mapping[str, Any], out: Path) -> None:
    from regrow.report.templating import open_templates

    environment = open_templates(count_rows=_count_rows, show=show)
    page = environment.get_template("validation.html.j2").render(result=result)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "validation.json", result)
    (out / "validation.html").write_text(page, encoding="utf-8")
