"""Validation: what must hold of a table before anything is trained on it.

The only file that imports Great Expectations, and only when a table is checked: the import takes
seconds. Models state their expectations as data; results are kept as JSON and as a page of HTML.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regrow.engine.errors import DataError, UserError
from regrow.engine.store import write_json

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 5


@dataclass(frozen=True)
class Expectation:
    """One thing that must hold.

    Attributes:
        type: Great Expectations' name for it, e.g. "expect_column_values_to_be_between".
        kwargs: its arguments.
        why: why it must hold, in one line.
        severity: "error" stops the run, "warning" only says so.
    """

    type: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """In words: "expect column values to be between: column=a, min_value=0"."""
        arguments = ", ".join(f"{name}={_short(value)}" for name, value in self.kwargs.items())
        return f"{self.type.replace('_', ' ')}: {arguments}"


@dataclass(frozen=True)
class Reference:
    """The champion's training data, to compare with: its version's label and its profile."""

    label: str
    profile: Mapping[str, Any]


def validate_table(
    table: Path,
    expectations: Sequence[Expectation],
    out: Path,
    *,
    failures: Path,
    id_column: str | None = None,
    reference: Reference | None = None,
) -> dict[str, Any]:
    """Checks a Parquet table; writes `validation.json` and `validation.html` into `out`.

    Args:
        table: the Parquet file.
        expectations: what must hold.
        out: where the results go when the table passes.
        failures: where they go when it does not: they outlive the failed run.
        id_column: the column by which a person finds a row again.
        reference: what to compare distributions with; differences are warnings, never failures.

    Returns:
        Facts: how many expectations passed, failed as warnings, and how many columns have drifted.

    Raises:
        DataError: an expectation failed; says which, how many rows, and examples.
        UserError: an expectation that Great Expectations does not know, or with wrong arguments.
    """
    import pandas as pd

    frame = pd.read_parquet(table)
    if frame.empty:
        raise DataError(
            "the cleaned table has no rows", where=str(table), expected="at least one row"
        )
    checks = check_frame(frame, expectations, id_column=id_column)
    drift = _compare(frame, reference)
    failed = [check for check in checks if not check["success"] and check["severity"] == "error"]
    warnings = [
        *(_say(check) for check in checks if not check["success"] and check not in failed),
        *(finding["text"] for finding in drift if finding["warning"]),
    ]
    result = {
        "success": not failed,
        "rows": len(frame),
        "expectations": checks,
        "drift_against": reference.label if reference else None,
        "drift": drift,
        "warnings": warnings,
    }
    if failed:
        _keep_failure(result, failures)
        raise _explain(table, failed, failures)
    _write(result, out)
    return {
        "passed": sum(check["success"] for check in checks),
        "failed": 0,
        "warnings": len(warnings),
        "drifted_columns": len({f["column"] for f in drift if f["warning"]}),
    }


def check_frame(
    frame: pd.DataFrame, expectations: Sequence[Expectation], *, id_column: str | None = None
) -> list[dict[str, Any]]:
    """Runs the expectations; one summary each, in their order."""
    # Set before the import, or it calls home.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # The context is shared by the process, so names must not meet again.
    name = uuid.uuid4().hex
    stated = [_build(expectation, number) for number, expectation in enumerate(expectations)]
    source = context.data_sources.add_pandas(name)
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=stated))
    try:
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        definition = gx.ValidationDefinition(data=batch, suite=suite, name=name)
        index = [id_column] if id_column in frame.columns else None
        outcome = definition.run(
            batch_parameters={"dataframe": frame},
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": EXAMPLES,
                **({"unexpected_index_column_names": index} if index else {}),
            },
        )
    finally:
        context.suites.delete(name)
        context.data_sources.delete(name)
    by_number = {
        int(result.expectation_config.meta["number"]): result.to_json_dict()  # type: ignore[union-attr]
        for result in outcome.results
    }
    return [
        _summarise(expectation, by_number[number], id_column)
        for number, expectation in enumerate(expectations)
    ]


def _build(expectation: Expectation, number: int) -> Any:
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        kind = get_expectation_impl(expectation.type)
    except ExpectationNotFoundError as error:
        raise UserError(
            "a model names an expectation that Great Expectations does not know",
            where="the model's EXPECTATIONS",
            received=expectation.type,
        ) from error
    try:
        return kind(**expectation.kwargs, meta={"number": number})
    except ValueError as error:  # pydantic's validation error is one
        raise UserError(
            "an expectation has wrong arguments",
            where=f"the model's EXPECTATIONS, {expectation.type}",
            received=str(dict(expectation.kwargs)),
            expected=str(error),
        ) from error


def _summarise(
    expectation: Expectation, result: Mapping[str, Any], id_column: str | None
) -> dict[str, Any]:
    found = result["result"]
    trouble = _exception(result.get("exception_info") or {})
    rows = found.get("partial_unexpected_index_list") or []
    column = expectation.kwargs.get("column")
    examples = [_example(row, column, id_column) for row in rows[:EXAMPLES]]
    if not examples:
        examples = [str(value) for value in (found.get("partial_unexpected_list") or [])[:EXAMPLES]]
    return {
        "expectation": str(expectation),
        "why": expectation.why,
        "severity": expectation.severity,
        "success": bool(result["success"]) and not trouble,
        "observed": None if found.get("observed_value") is None else str(found["observed_value"]),
        "rows": found.get("element_count"),
        "unexpected": found.get("unexpected_count"),
        "unexpected_share": _share(found),
        "examples": examples,
        "error": trouble,
    }


def _share(found: Mapping[str, Any]) -> float | None:
    percent = found.get("unexpected_percent_total", found.get("unexpected_percent"))
    return None if percent is None else round(float(percent) / 100, 6)


def _example(row: Mapping[str, Any], column: str | None, id_column: str | None) -> str:
    value = "missing" if row.get(column or "") is None else str(row[column or ""])
    named = id_column is not None and id_column != column
    return f"{value} at {row.get(id_column or '')}" if named else value


def _exception(info: Mapping[str, Any]) -> str | None:
    """The message of an exception inside an expectation, where there was one."""
    if "raised_exception" in info:
        return str(info["exception_message"]) if info["raised_exception"] else None
    messages = [
        str(item["exception_message"]) for item in info.values() if item["raised_exception"]
    ]
    return messages[0] if messages else None


def _compare(frame: pd.DataFrame, reference: Reference | None) -> list[dict[str, Any]]:
    if reference is None:
        return []
    from regrow.engine.drift import compare_profiles, profile_table

    columns = [name for name in reference.profile if name in frame.columns]
    return compare_profiles(reference.profile, profile_table(frame, columns))


def _explain(table: Path, failed: Sequence[Mapping[str, Any]], failures: Path) -> DataError:
    return DataError(
        f"the data failed {len(failed)} expectation{'s' if len(failed) > 1 else ''}; "
        "nothing was trained",
        where=str(table),
        received="\n".join(_say(check) for check in failed),
        expected="\n".join(f"{check['expectation']} ({check['why']})" for check in failed),
        remedies=[
            f"look at all results: {failures / 'validation.html'}",
            "mend the data or its source, and run again; the champion stays as it is",
        ],
    )


def _say(check: Mapping[str, Any]) -> str:
    """What was wrong, in one line."""
    if check["error"]:
        return f"{check['expectation']}: could not be checked: {check['error']}"
    if check["unexpected"] is None:
        return f"{check['expectation']}: found {_short(check['observed'])}"
    shown = "; ".join(check["examples"])
    return (
        f"{check['expectation']}: {check['unexpected']} of {check['rows']} rows "
        f"({check['unexpected_share']:.1%}) fail, for example {shown}"
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keep_failure(result: Mapping[str, Any], failures: Path) -> None:
    """Replaces what an earlier failure left, whole or not at all."""
    writing = failures.with_name(f".{failures.name}.{uuid.uuid4().hex}.tmp")
    _write(result, writing)
    shutil.rmtree(failures, ignore_errors=True)
    writing.rename(failures)


def _write(result: Mapping[str, Any], out: Path) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "validation.json", result)
    environment = Environment(
        loader=PackageLoader("regrow.engine"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("validation.html.j2").render(result=result)
    (out / "validation.html").write_text(page, encoding="utf-8")
