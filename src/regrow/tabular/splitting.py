"""Which rows of a table train, which choose among trainings, and which test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regrow.base.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from regrow.tabular.model import Columns, Split

PARTS = ("train", "validation", "test")
Array = np.ndarray


def split_rows(frame: pd.DataFrame, columns: Columns, split: Split) -> dict[str, pd.DataFrame]:
    """The training, validation and test rows of a cleaned table.

    Raises:
        DataError: a part would be empty.
    """
    by = split.by or ("time" if columns.time else "group" if columns.group else "id")
    places = (
        _by_time(frame, columns, split) if by == "time" else _by_hash(frame, columns, split, by)
    )
    parts = {name: frame[places == n].reset_index(drop=True) for n, name in enumerate(PARTS)}
    sizes = {name: len(part) for name, part in parts.items()}
    if not all(sizes.values()):
        raise DataError(
            "there are too few rows for training and testing",
            where=f"the cleaned table, {len(frame):,} rows, divided by {by}",
            received=", ".join(f"{size} {name} rows" for name, size in sizes.items()),
            expected="at least one row in each split",
            remedies=[
                "use more rows",
                "or use other shares: split = regrow.Split(test=..., validation=...)",
            ],
        )
    return parts


def _by_time(frame: pd.DataFrame, columns: Columns, split: Split) -> Array:
    """The newest rows test, those before them validate; rows of one time stay together."""
    time = frame[columns.time].to_numpy()
    order = np.argsort(time, kind="stable")
    places = np.zeros(len(frame), dtype="int8")
    test = _cut(time[order], round(len(frame) * (1 - split.test)))
    validation = _cut(time[order], round(test * (1 - split.validation)))
    places[order[validation:test]] = 1
    places[order[test:]] = 2
    return places


def _cut(time: Array, at: int) -> int:
    """The first place from `at` on at which another time begins."""
    while 0 < at < len(time) and time[at] == time[at - 1]:
        at += 1
    return at


def _by_hash(frame: pd.DataFrame, columns: Columns, split: Split, by: str) -> Array:
    """A row's part is a function of its id, or group, or else of its inputs: it never changes."""
    import pandas as pd

    key = columns.group if by == "group" else columns.id
    named = frame[[key]] if key else frame[list(columns.inputs)]
    hashed = pd.util.hash_pandas_object(named.astype("string"), index=False).to_numpy()
    share = hashed.astype("float64") / float(2**64)
    kept = 1 - split.test
    return np.select([share < kept * (1 - split.validation), share < kept], [0, 1], 2).astype(
        "int8"
    )
