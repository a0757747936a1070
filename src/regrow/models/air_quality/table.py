"""The clean table as arrays, and its chronological split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError, shorten_list
from regrow.models.air_quality.columns import INPUTS, TARGET, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from regrow.models.air_quality.spec import Variant

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Rows:
    """Rows in order of time.

    Attributes:
        time: (rows,), datetime64.
        x: (rows, 14), float32: the readings with NaN for missing, hour, weekday.
        y: (rows, 1), float32: benzene in µg/m³.
    """

    time: Array
    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: slice) -> Rows:
        return Rows(self.time[rows], self.x[rows], self.y[rows])


def read_rows(table: Path, *, book: bool = False) -> Rows:
    """Reads the clean table.

    Args:
        table: the Parquet file.
        book: keep rows without benzene and write -200 for every missing value, as the chapter does.
    """
    import pandas as pd

    frame = pd.read_parquet(table)
    if book:
        frame = frame.fillna(dict.fromkeys((*INPUTS, TARGET), -200.0))
    else:
        frame = frame[frame[TARGET].notna()]
    y = frame[[TARGET]].to_numpy(dtype="float32")
    return Rows(frame[TIMESTAMP].to_numpy(), to_features(frame), y)


def to_features(frame: pd.DataFrame) -> Array:
    """The model's raw inputs, (rows, 14), float32."""
    clock = frame[TIMESTAMP].dt
    readings = frame[list(INPUTS)].to_numpy(dtype="float32")
    calendar = np.stack([clock.hour, clock.day_of_week], axis=1).astype("float32")
    return np.concatenate([readings, calendar], axis=1)


def refuse_constant(fitted: Rows, variants: Mapping[str, Variant], *, book: bool) -> None:
    """Refuses columns from which nothing can be learnt.

    Args:
        fitted: the training rows without the validation rows at their end.
        variants: whose inputs are checked; a polynomial needs more values than its degree.
        book: check the target only.

    Raises:
        DataError: the target or an input has too few values in these rows.
    """
    least = {TARGET: 2}
    for variant in () if book else variants.values():
        for name in variant.inputs:
            least[name] = max(least.get(name, 2), variant.degree + 1)
    columns = {name: fitted.x[:, n] for n, name in enumerate(INPUTS)} | {TARGET: fitted.y[:, 0]}
    for name, needed in least.items():
        found = np.unique(columns[name][np.isfinite(columns[name])])
        if len(found) >= needed:
            continue
        remedies = ["check the source for a stuck sensor or an empty column"]
        if name != TARGET:
            remedies.append("leave it out: --set 'variants.NAME.inputs=[...]'")
        raise DataError(
            f"the column cannot be used for training: {name}; nothing was trained",
            where=f"the first {len(fitted):,} training rows, up to {fitted.time.max()}",
            received=_show_values(found),
            expected=f"at least {needed} different values",
            remedies=remedies,
        )


def _show_values(found: Array) -> str:
    values = shorten_list(f"{value:g}" for value in found)
    return f"only the value{'s' * (len(found) > 1)} {values}" if len(found) else "no value"


def split(rows: Rows, test_share: float) -> tuple[Rows, Rows]:
    """The earlier rows to train on, and the last `test_share` of them to test on."""
    border = int(len(rows) * (1 - test_share))
    return rows[:border], rows[border:]
