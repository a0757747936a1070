"""Validation: what must hold of a table before anything is trained on it.

The only file that imports Great Expectations, and only when a table is checked: the import takes
seconds. Models state their expectations as data; results are kept as JSON and as a page of HTML.
"""

from __future__ import annotations

import difflib
import math
import os
import shutil
import string
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regrow.engine.errors import DataError, UserError
from regrow.engine.store import write_json

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 5
RESULT_FORMAT = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": EXAMPLES,
    "return_unexpected_index_query": False,  # a text that names every failing row
}
# Longer values are cut short in messages and on the page.
VALUE_CHARACTERS = 80
TEXT_CHARACTERS = 400
# So much is kept of a list, such as a set of allowed values.
MAX_ITEMS = 50


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
    kwargs: Mapping[str, Any]
    why: str
    severity: Literal["error", "warning"] = "error"

    def __post_init__(self) -> None:
        if self.severity not in ("error", "warning"):
            raise ValueError(f'severity is "error" or "warning", not {self.severity!r}')


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
        out: where the results go when the table passes; nothing is written there when it fails.
        failures: the directory of the results when it fails: it outlives the failed run, and
            replaces the one of an earlier failure.
        id_column: the column by which a person finds a row again.
        reference: what to compare distributions with; differences are warnings, never failures.

    Returns:
        Facts: how many expectations "passed" and "failed", how many "warnings" there are, drift
        included, and how many "drifted_columns".

    Raises:
        DataError: no rows, or an expectation failed; says which, how many rows, and examples.
        UserError: an expectation that Great Expectations does not know, or with wrong arguments.
    """
    import pyarrow.parquet as pq

    # A data frame's index kept in the file comes as a column like any other.
    frame = pq.read_table(table).to_pandas(ignore_metadata=True)
    if frame.empty:
        raise DataError(
            "the cleaned table has no rows; nothing was trained",
            where=str(table),
            received=f"0 rows, {len(frame.columns)} columns",
            expected="at least one row",
            remedies=["look at the source: is it empty, or are all its rows unusable?"],
        )
    checks = check_frame(frame, expectations, id_column=id_column)
    drift = _compare(frame, reference)
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


def check_frame(
    frame: pd.DataFrame, expectations: Sequence[Expectation], *, id_column: str | None = None
) -> list[dict[str, Any]]:
    """Runs the expectations; one record of JSON values each, in their order.

    Returns:
        Records: "expectation" (in words), "type", "kwargs", "why", "severity", "success", and where
        they apply "observed", "rows", "missing" and "unexpected" (counts), "unexpected_share" (of
        the rows), "examples" (up to 5, each with "row", "value" and "id"), "error" (why the
        expectation could not be checked).

    Raises:
        UserError: an expectation that Great Expectations does not know, or with wrong arguments.
    """
    # Set before the import, or it calls home.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    frame = frame.reset_index(drop=True)
    built = [_build(expectation) for expectation in expectations]
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # The context is shared by the process, so names must not meet again.
    name = uuid.uuid4().hex
    source = context.data_sources.add_pandas(name)
    try:
        asset = source.add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
        # Not by a ValidationDefinition: it stores the outcome as JSON and raises TypeError at the
        # numpy.bool_ that some expectations answer with. One at a time, so that an exception
        # inside one cannot spoil the others.
        results = [batch.validate(one, result_format=RESULT_FORMAT) for one in built]
    finally:
        context.data_sources.delete(name)
    return [
        _record(expectation, _phrase(one, expectation), result, frame, id_column)
        for expectation, one, result in zip(expectations, built, results, strict=True)
    ]


def _build(expectation: Expectation) -> Any:
    from great_expectations.exceptions.exceptions import (
        ExpectationNotFoundError,
        GreatExpectationsError,
    )
    from great_expectations.expectations import registry

    try:
        kind = registry.get_expectation_impl(expectation.type)
    except ExpectationNotFoundError as error:
        known = registry.list_registered_expectation_implementations()
        near = difflib.get_close_matches(expectation.type, known, n=3)
        raise UserError(
            "Great Expectations does not know this expectation",
            where="the model's expectations",
            received=expectation.type,
            expected=f"for example {', '.join(near)}" if near else "one of its core expectations",
            remedies=["correct the name in the model's expectations"],
        ) from error
    try:
        return kind(**expectation.kwargs)
    except (ValueError, TypeError, GreatExpectationsError) as error:
        raise UserError(
            f"wrong arguments for {expectation.type}",
            where="the model's expectations",
            received=_shorten(dict(expectation.kwargs), TEXT_CHARACTERS),
            expected=_explain_arguments(error),
            remedies=["correct the arguments in the model's expectations"],
        ) from error


def _explain_arguments(error: Exception) -> str:
    """What pydantic or Great Expectations has against the arguments."""
    if not hasattr(error, "errors"):
        return str(error)
    complaints = []
    for item in error.errors():
        names = ".".join(str(name) for name in item["loc"] if name != "__root__")
        complaints.append(f"{names}: {item['msg']}" if names else str(item["msg"]))
    return "\n".join(dict.fromkeys(complaints))


def _phrase(built: Any, expectation: Expectation) -> str:
    """The expectation in Great Expectations' words: "a values must be at least 0"."""
    kwargs = {
        name: _plain(value) if isinstance(value, (list, tuple, set)) else value
        for name, value in expectation.kwargs.items()
    }
    try:
        # From lists cut short: rendering takes a millisecond or more for each of their items.
        shown = type(built)(**kwargs)
        shown.render()
        content = shown.rendered_content[0].value.to_json_dict()
        template = content["template"].replace("greater than or equal to $", "at least $")
        template = template.replace("less than or equal to $", "at most $").rstrip(".")
        values = {name: param["value"] for name, param in content["params"].items()}
    except Exception:  # a renderer's fault must not decide on the data; not all have a template
        arguments = ", ".join(f"{name}={value}" for name, value in kwargs.items())
        text = f"{expectation.type.replace('_', ' ')} ({arguments})"
    else:
        plain = {n: f"{v:.12g}" if isinstance(v, float) else v for n, v in values.items()}
        text = string.Template(template).safe_substitute(plain)
    return _shorten(text, TEXT_CHARACTERS)


def _record(
    expectation: Expectation,
    phrase: str,
    result: Any,
    frame: pd.DataFrame,
    id_column: str | None,
) -> dict[str, Any]:
    found = result.result or {}
    trouble = _find_exception(result.exception_info or {})
    rows, unexpected = found.get("element_count"), found.get("unexpected_count")
    observed = _find_mismatch(found) or _plain(found.get("observed_value"))
    return {
        "expectation": phrase,
        "type": expectation.type,
        "kwargs": {name: _plain(value) for name, value in expectation.kwargs.items()},
        "why": expectation.why,
        "severity": expectation.severity,
        "success": bool(result.success) and trouble is None,
        "observed": observed,
        "rows": rows,
        "missing": found.get("missing_count"),
        "unexpected": unexpected,
        "unexpected_share": round(unexpected / rows, 6)
        if rows and unexpected is not None
        else None,
        "examples": _pick_examples(expectation, found, frame, id_column),
        "error": trouble,
    }


def _find_exception(info: Mapping[str, Any]) -> str | None:
    """The message of an exception inside the expectation; Great Expectations has two layouts."""
    items = [info] if "raised_exception" in info else list(info.values())
    raised = [item for item in items if item["raised_exception"]]
    return _shorten(raised[0]["exception_message"], TEXT_CHARACTERS) if raised else None


def _find_mismatch(found: Mapping[str, Any]) -> str | None:
    """Which columns are wrong, where columns were expected."""
    mismatched = (found.get("details") or {}).get("mismatched")
    if isinstance(mismatched, Mapping):
        return "; ".join(f"{key}: {', '.join(map(str, mismatched[key]))}" for key in mismatched)
    if isinstance(mismatched, list):
        shown = [
            f"column {item['Expected Column Position'] + 1} is {item['Found'] or 'not there'} "
            f"instead of {item['Expected'] or 'nothing'}"
            for item in mismatched[:EXAMPLES]
        ]
        more = len(mismatched) - len(shown)
        return "; ".join(shown) + (f"; and {more} more" if more else "")
    return None


def _pick_examples(
    expectation: Expectation, found: Mapping[str, Any], frame: pd.DataFrame, id_column: str | None
) -> list[dict[str, Any]]:
    kwargs = expectation.kwargs
    named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    columns = [name for name in (*named, *kwargs.get("column_list", ())) if name in frame.columns]
    rows = found.get("partial_unexpected_index_list")
    if rows is None or not columns:  # such as an expectation on the set of a column's values
        values = found.get("partial_unexpected_list") or []
        return [{"value": _plain(value)} for value in values[:EXAMPLES]]
    examples = []
    for row in rows[:EXAMPLES]:
        values = {name: _plain(frame.at[row, name]) for name in columns}
        together = ", ".join(f"{name} {_show(value)}" for name, value in values.items())
        value = values[columns[0]] if len(columns) == 1 else _shorten(together, TEXT_CHARACTERS)
        example = {"row": int(row), "value": value}
        if id_column in frame.columns:
            example["id"] = _plain(frame.at[row, id_column])
        examples.append(example)
    return examples


def _plain(value: Any) -> Any:
    """A value as JSON has it: None where it is missing, text where JSON has no such type."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
        more = [f"and {len(items) - MAX_ITEMS:,} more"] if len(items) > MAX_ITEMS else []
        return [*map(_plain, items[:MAX_ITEMS]), *more]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int)):
        return value
    # NaN, NaT and pandas.NA are not equal to themselves, or answer with NA.
    if type(value).__name__ in ("NAType", "NaTType") or (value != value) is True:
        return None
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _shorten(value, VALUE_CHARACTERS)


def _shorten(value: Any, characters: int) -> str:
    text = str(value)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _compare(frame: pd.DataFrame, reference: Reference | None) -> list[dict[str, Any]]:
    if reference is None:
        return []
    from regrow.engine.drift import compare_profiles, profile_table

    columns = [name for name in reference.profile if name in frame.columns]
    try:
        return compare_profiles(reference.profile, profile_table(frame, columns))
    except (KeyError, TypeError, ValueError) as error:
        # Written by another version, perhaps. Drift never stops a run, nor may its absence hide.
        text = f"the profile of {reference.label} cannot be compared ({error!r})"
        none = {"column": "", "value": None, "threshold": None}
        return [{**none, "check": "schema", "level": "warning", "sentence": text}]


def _summarise(
    frame: pd.DataFrame,
    checks: list[dict[str, Any]],
    drift: list[dict[str, Any]],
    id_column: str | None,
    reference: Reference | None,
) -> dict[str, Any]:
    """What `validation.json` holds: the same for the same data, so without times and paths."""
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
            *(_say(check) for check in failed if check["severity"] == "warning"),
            *(finding["sentence"] for finding in drift if finding["level"] == "warning"),
        ],
    }


def _explain(
    table: Path, result: Mapping[str, Any], failed: Sequence[Mapping[str, Any]], kept: str
) -> DataError:
    total = len(result["expectations"])
    lines = []
    for check in failed:
        lines += [_say(check), f"  why it must hold: {check['why']}"]
        lines += [f"  {_show_example(e, result['id_column'])}" for e in check["examples"]]
    return DataError(
        f"the data does not meet {len(failed)} of {total} expectations; nothing was trained",
        where=f"{table}, {result['rows']:,} rows, counted from 0",
        received="\n".join(lines),
        expected="all expectations of severity error to be met",
        remedies=[
            kept,
            "mend the data or its source and run again; the champion stays as it is until then",
            "if the data is right, change the expectation in the model's folder",
        ],
    )


def _say(check: Mapping[str, Any]) -> str:
    """What was found against an expectation, in one line."""
    if check["error"]:
        return f"{check['expectation']}: could not be checked: {check['error']}"
    if check["unexpected"] is not None:
        return f"{check['expectation']}: not so in {_count(check)}"
    found = _shorten(_show(check["observed"]), TEXT_CHARACTERS)
    return f"{check['expectation']}: not so; found: {found}"


def _count(check: Mapping[str, Any]) -> str:
    """The rows that do not meet an expectation: "2 of 9,357 rows (0.0214 %)"."""
    if not check["rows"]:
        return f"{check['unexpected']:,} values"
    share = f"{100 * check['unexpected'] / check['rows']:.3g} %"
    return f"{check['unexpected']:,} of {check['rows']:,} rows ({share})"


def _show_example(example: Mapping[str, Any], id_column: str | None) -> str:
    """An example in words: "-5 in row 3, timestamp 2004-03-10 21:00:00"."""
    text = _show(example["value"])
    if "row" in example:
        text += f" in row {example['row']}"
    if "id" in example:
        text += f", {id_column} {_show(example['id'])}"
    return text


def _show(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return "missing" if value is None else str(value)


def _keep_failure(result: Mapping[str, Any], failures: Path) -> str:
    """Puts the results in the place of an earlier failure's, whole; says where they are."""
    writing = failures.with_name(f".{failures.name}.writing")
    try:
        shutil.rmtree(writing, ignore_errors=True)  # what a killed run left
        _write(result, writing / "new")
        if failures.exists():
            failures.rename(writing / "old")
        (writing / "new").rename(failures)
    except OSError as error:  # a full disk, say: the failed data must be told of all the same
        return f"the page with all results could not be kept: {error}"
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return f"look at all results: {failures / 'validation.html'}"


def _write(result: Mapping[str, Any], out: Path) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("regrow.engine"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"count_rows": _count, "show": _show}
    page = environment.get_template("validation.html.j2").render(result=result)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "validation.json", result)
    (out / "validation.html").write_text(page, encoding="utf-8")
