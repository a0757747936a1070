"""What a report shows of `validation.json`: the verdict, the warnings, checks and drift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from regrow.base.errors import UserError, list_problems
from regrow.report.evaluation import Table
from regrow.report.numbers import TextTable, format_table


class _Read(BaseModel):
    # validation.json says more of each; all of it is on validation.html.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Check(_Read):
    """An expectation and whether it was met; `unexpected` counts the values that did not."""

    success: bool
    severity: Literal["error", "warning"]
    expectation: str
    why: str
    unexpected: int | None


class Drift(_Read):
    """A comparison of one column with the champion's training data."""

    column: str
    check: str
    value: float | None
    threshold: float | None
    level: Literal["ok", "warning"]


class Validation(_Read):
    """The verdict on the data, with all checks and comparisons."""

    success: bool
    warnings: tuple[str, ...]
    expectations: tuple[Check, ...]
    drift: tuple[Drift, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads `validation.json`.

        Raises:
            UserError: the file does not have this form.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise UserError(
                "the result of a validation does not have the required structure",
                where=str(path),
                received=list_problems(error),
                remedies=["remove it and run again to create a new one"],
            ) from error


@dataclass(frozen=True)
class ValidationText:
    """The verdict on the data: a tone ("good", "bad"), a sentence, remarks and tables.

    Attributes:
        tables: the checks that failed, and the columns that drifted.
        passed: the checks that held, if any did.
    """

    tone: str
    sentence: str
    remarks: tuple[str, ...]
    tables: tuple[TextTable, ...]
    passed: TextTable | None


def state_validation(validation: Validation) -> ValidationText:
    """The verdict on the data in a sentence, with its checks and drift warnings as tables."""
    checks, remarks = validation.expectations, validation.warnings
    failed = sum(not check.success for check in checks)
    if validation.success:
        tone, sentence = "good", f"The data passed validation{_count(len(checks), failed)}."
    else:
        tone = "bad"
        sentence = f"The data did not pass validation: {failed} of {len(checks)} checks failed."
    if remarks:
        sentence += f" {len(remarks)} warning{'s' if len(remarks) > 1 else ''}, below."
    good, bad = (_tabulate_checks(checks, success) for success in (True, False))
    shown = tuple(format_table(t) for t in (bad, _tabulate_drift(validation.drift)) if t.rows)
    return ValidationText(tone, sentence, remarks, shown, format_table(good) if good.rows else None)


def _count(checks: int, failed: int) -> str:
    if failed:
        return f": {checks - failed} of {checks} checks passed, the others are warnings"
    return f": all {checks} checks passed" if checks else ""


def _tabulate_checks(checks: tuple[Check, ...], success: bool) -> Table:
    return Table(
        title="Passed" if success else "Failed",
        columns=("expectation", "why", "unexpected", "severity"),
        rows=tuple(
            (check.expectation, check.why, check.unexpected, check.severity)
            for check in checks
            if check.success == success
        ),
    )


def _tabulate_drift(drift: tuple[Drift, ...]) -> Table:
    return Table(
        title="drift",
        columns=("column", "check", "value", "limit"),
        rows=tuple(
            (found.column, found.check, found.value, found.threshold)
            for found in drift
            if found.level == "warning"
        ),
    )
