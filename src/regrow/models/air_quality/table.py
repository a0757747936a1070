"""The clean table as arrays, and its chronological split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError
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


def refuse_constant(training: Rows, variants: Mapping[str, Variant]) -> None:
    """Refuses columns from which nothing can be learnt.

    Raises:
        DataError: the target or an input has one value, or none, in all training rows.
    """
    used = {name for variant in variants.values() for name in variant.inputs}
    columns = {TARGET: training.y[:, 0]}
    columns |= {name: training.x[:, n] for n, name in enumerate(INPUTS) if name in used}
    for name, values in columns.items():
        found = np.unique(values[np.isfinite(values)])
        if len(found) > 1:
            continue
        remedies = ["check the source for a stuck sensor or an empty column"]
        if name != TARGET:
            remedies.append("leave it out: --set 'variants.NAME.inputs=[...]'")
        raise DataError(
            f"the column cannot be used for training: {name}; nothing was trained",
            where=f"the {len(training):,} training rows, up to {training.time.max()}",
            received=f"only the value {found[0]:g}" if len(found) else "no value",
            expected="at least two different values",
            remedies=remedies,
        )


def split(rows: Rows, test_share: float) -> tuple[Rows, Rows]:
    """The earlier rows to train on, and the last `test_share` of them to test on."""
    border = int(len(rows) * (1 - test_share))
    return rows[:border], rows[border:]
