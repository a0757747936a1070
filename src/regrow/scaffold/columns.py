"""What the columns of a table are probably for, by looking at its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regrow.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from regrow.tabular.model import Task

# Text with more different values than this is no category, and neither are so many of the rows.
MAX_CATEGORIES, MAX_CATEGORY_SHARE = 50, 0.2
# A number with so few different whole values, named as the target, is a class.
MAX_CLASSES = 20
# Text with so many words on average is read word by word.
MIN_WORDS = 3.0
# The share of values that must be dates.
DATES = 0.95


@dataclass
class Guess:
    """What the columns are for, as `regrow.columns` takes it, and why.

    Attributes:
        reasons: one line for each column that was left out or that a person should check.
    """

    target: str
    task: Task = "regression"
    id: str | None = None
    time: str | None = None
    numbers: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def guess_columns(frame: pd.DataFrame, where: str, target: str | None = None) -> Guess:
    """Guesses what each column is for.

    Args:
        frame: the table as it was read.
        where: the file, as messages name it.
        target: the column to predict; by default the last one.

    Raises:
        UserError: there is no such column, no row, or none that could be an input.
    """
    names = [str(name) for name in frame.columns]
    chosen = target or names[-1]
    _check_target(frame, names, chosen, where)
    guess = Guess(chosen, _guess_task(frame[chosen]))
    if target is None:
        guess.reasons.append(f"{chosen}: used as the target, because it is the last column")
    for name in names:
        if name != chosen:
            _place(guess, frame[name], name)
    if not (guess.numbers or guess.categories or guess.texts):
        raise UserError(
            "no column can be used as an input",
            where=where,
            received="\n".join(guess.reasons),
            expected="a column with numbers, few different values, or text",
        )
    return guess


def _check_target(frame: pd.DataFrame, names: list[str], chosen: str, where: str) -> None:
    if chosen not in names or frame.empty:
        raise UserError(
            "the table has no rows" if frame.empty else f"the table has no column {chosen!r}",
            where=where,
            received=f"{len(frame)} rows, columns {', '.join(names[:30])}",
            expected="at least one row" if frame.empty else "pass one of these as --target",
        )
    if _count_values(frame[chosen]) is None:
        raise UserError(
            f"the column {chosen!r} cannot be predicted",
            where=where,
            received="it contains lists or mappings",
            expected="one number or text per row",
            remedies=["choose another column with --target"],
        )


def _guess_task(values: pd.Series) -> Task:
    import pandas as pd

    count = values.nunique()
    if count == 2:
        return "binary"
    if not pd.api.types.is_numeric_dtype(values):
        return "classes"
    whole = (values.dropna() % 1 == 0).all()
    return "classes" if whole and count <= MAX_CLASSES else "regression"


def _place(guess: Guess, values: pd.Series, name: str) -> None:
    """Adds a column to what it is probably for."""
    import pandas as pd

    count, rows = _count_values(values), len(values)
    if count is None:
        guess.reasons.append(f"{name}: left out, because it contains lists or mappings")
        return
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if count < 2:
        guess.reasons.append(f"{name}: left out, because it has {count} different values")
    elif guess.id is None and count == rows and _looks_like_id(values, name, is_number=is_number):
        guess.id = name
    elif guess.time is None and not is_number and _are_dates(values):
        guess.time = name
    elif is_number:
        guess.numbers.append(name)
    elif count <= min(MAX_CATEGORIES, max(2, MAX_CATEGORY_SHARE * rows)):
        guess.categories.append(name)
    elif _count_words(values.dropna()).mean() >= MIN_WORDS:
        guess.texts.append(name)
    else:
        guess.reasons.append(
            f"{name}: left out, because it is text with {count:,} different values"
        )


def _count_values(values: pd.Series) -> int | None:
    """How many different values there are; None for lists and mappings, as Parquet may have."""
    try:
        return int(values.nunique())
    except TypeError:
        return None


def _looks_like_id(values: pd.Series, name: str, *, is_number: bool) -> bool:
    named = name.lower() == "id" or name.lower().endswith(("_id", " id", "-id", "key", "uuid"))
    if is_number:
        return named and bool((values.dropna() % 1 == 0).all())
    return named or (bool((_count_words(values) == 1).all()) and not _are_dates(values))


def _count_words(values: pd.Series) -> pd.Series:
    return values.astype("string").str.count(r"\S+")


def _are_dates(values: pd.Series) -> bool:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        return True
    texts = values.dropna().astype("string")
    if texts.empty or not texts.str.contains(r"\d{4}|\d{1,2}[./-]\d{1,2}", regex=True).all():
        return False
    return bool(
        pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True).notna().mean() >= DATES
    )
