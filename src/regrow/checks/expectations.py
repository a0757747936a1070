"""Expectations: what must hold for a table before a model is trained on it.

The only module that imports Great Expectations, and only when a table is checked, because the
import takes seconds. Models state their expectations as data.
"""

from __future__ import annotations

import difflib
import math
import os
import string
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from regrow.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 5
RESULT_FORMAT = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": EXAMPLES,
    "return_unexpected_index_query": False,  # it would name every failing row
}
# Longer values are shortened in messages and on the page.
VALUE_CHARACTERS = 80
TEXT_CHARACTERS = 400
# Longer lists, such as sets of allowed values, are shortened as well.
MAX_ITEMS = 50


@dataclass(frozen=True)
class Expectation:
    """One condition on a table.

    Attributes:
        type: Great Expectations' name for it, e.g. "expect_column_values_to_be_between".
        kwargs: its arguments.
        why: why it must hold, in one line.
        severity: "error" stops the run, "warning" only reports it.
    """

    type: str
    kwargs: Mapping[str, Any]
    why: str
    severity: Literal["error", "warning"] = "error"

    def __post_init__(self) -> None:
        if self.severity not in ("error", "warning"):
            raise ValueError(f'severity is "error" or "warning", not {self.severity!r}')


def expect(kind: str, why: str, **kwargs: Any) -> Expectation:
    """An expectation by its name without "expect_", why it must hold, and its arguments."""
    return Expectation(type=f"expect_{kind}", kwargs=kwargs, why=why)


def check_frame(
    frame: pd.DataFrame, expectations: Sequence[Expectation], *, id_column: str | None = None
) -> list[dict[str, Any]]:
    """Checks the expectations; one record of JSON values each, in their order.

    An expectation on a column of lists is checked on the lengths of the lists.

    Returns:
        Records: "expectation" (in words), "type", "kwargs", "why", "severity", "success", and where
        they apply "observed", "rows", "missing" and "unexpected" (counts), "unexpected_share" (of
        the rows), "examples" (up to 5, each with "row", "value" and "id"), "error" (why the
        expectation could not be checked).

    Raises:
        UserError: an expectation that Great Expectations does not know, or with wrong arguments.
    """
    frame = _measure_lists(frame.reset_index(drop=True))
    # Set before the import, or Great Expectations sends analytics.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    built = [_build(expectation) for expectation in expectations]
    return [
        _record(expectation, _phrase(one, expectation), result, frame, id_column)
        for expectation, one, result in zip(expectations, built, _run(frame, built), strict=True)
    ]


def _run(frame: pd.DataFrame, built: Sequence[Any]) -> list[Any]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # The process has one context, so names must be unique.
    name = uuid.uuid4().hex
    source = context.data_sources.add_pandas(name)
    try:
        asset = source.add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
        # Not by a ValidationDefinition: it stores the result as JSON and raises TypeError at the
        # numpy.bool_ that some expectations return. One at a time, so that an exception in one
        # does not affect the others.
        return [batch.validate(one, result_format=RESULT_FORMAT) for one in built]
    finally:
        context.data_sources.delete(name)


def _measure_lists(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the lengths of lists in place of the lists; missing lists stay missing.

    Great Expectations has no expectation on lists, but processes them for each expectation.
    """
    import numpy as np
    from pandas.api.types import is_object_dtype

    lengths = {}
    for name in frame.columns:
        present = frame[name].dropna()
        if is_object_dtype(present.dtype) and isinstance(
            next(iter(present), None), (list, np.ndarray)
        ):
            lengths[name] = frame[name].map(len, na_action="ignore")
    return frame.assign(**lengths)


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
            "Great Expectations has no such expectation",
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
            received=shorten(dict(expectation.kwargs), TEXT_CHARACTERS),
            expected=_explain_arguments(error),
            remedies=["correct the arguments in the model's expectations"],
        ) from error


def _explain_arguments(error: Exception) -> str:
    """The complaints of pydantic or Great Expectations about the arguments."""
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
        # With shortened lists: rendering takes a millisecond or more for each of their items.
        shown = type(built)(**kwargs)
        shown.render()
        content = shown.rendered_content[0].value.to_json_dict()
        template = content["template"].replace("greater than or equal to $", "at least $")
        template = template.replace("less than or equal to $", "at most $").rstrip(".")
        values = {name: param["value"] for name, param in content["params"].items()}
    except Exception:  # a failed rendering must not fail the check; not all have a template
        arguments = ", ".join(f"{name}={value}" for name, value in kwargs.items())
        text = f"{expectation.type.replace('_', ' ')} ({arguments})"
    else:
        plain = {n: f"{v:.12g}" if isinstance(v, float) else v for n, v in values.items()}
        text = string.Template(template).safe_substitute(plain)
    return shorten(text, TEXT_CHARACTERS)


def _record(
    expectation: Expectation,
    phrase: str,
    result: Any,
    frame: pd.DataFrame,
    id_column: str | None,
) -> dict[str, Any]:
    found = result.result or {}
    exception = _find_exception(result.exception_info or {})
    rows, unexpected = found.get("element_count"), found.get("unexpected_count")
    observed = _find_mismatch(found) or _plain(found.get("observed_value"))
    return {
        "expectation": phrase,
        "type": expectation.type,
        "kwargs": {name: _plain(value) for name, value in expectation.kwargs.items()},
        "why": expectation.why,
        "severity": expectation.severity,
        "success": bool(result.success) and exception is None,
        "observed": observed,
        "rows": rows,
        "missing": found.get("missing_count"),
        "unexpected": unexpected,
        "unexpected_share": round(unexpected / rows, 6)
        if rows and unexpected is not None
        else None,
        "examples": _pick_examples(expectation, found, frame, id_column),
        "error": exception,
    }


def _find_exception(info: Mapping[str, Any]) -> str | None:
    """The message of an exception inside the expectation; Great Expectations has two layouts."""
    items = [info] if "raised_exception" in info else list(info.values())
    raised = [item for item in items if item["raised_exception"]]
    return shorten(raised[0]["exception_message"], TEXT_CHARACTERS) if raised else None


def _find_mismatch(found: Mapping[str, Any]) -> str | None:
    """The wrong columns, for an expectation on the table's columns."""
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
        together = ", ".join(f"{name} {show(value)}" for name, value in values.items())
        value = values[columns[0]] if len(columns) == 1 else shorten(together, TEXT_CHARACTERS)
        example = {"row": int(row), "value": value}
        if id_column in frame.columns:
            example["id"] = _plain(frame.at[row, id_column])
        examples.append(example)
    return examples


def _plain(value: Any) -> Any:
    """A value of a JSON type: None if it is missing, text if JSON has no such type."""
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
    # NaN, NaT and pandas.NA are not equal to themselves, or the comparison gives NA.
    if type(value).__name__ in ("NAType", "NaTType") or (value != value) is True:
        return None
    if isinstance(value, float) and math.isfinite(value):
        return value
    return shorten(value, VALUE_CHARACTERS)


def shorten(value: Any, characters: int) -> str:
    """A value as text of at most this number of characters."""
    text = str(value)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def show(value: Any) -> str:
    """A plain value as a person would write it."""
    if isinstance(value, list):
        return ", ".join(map(show, value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return "missing" if value is None else str(value)
