"""Hostile inputs for the reader of tables of one's own, and for guessing what their columns are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz.harness import Fuzzed
from tests.fuzz.mutations import NASTY_TEXTS, NASTY_VALUES, mutate_bytes, mutate_lines

ROWS = 120
COLUMNS: dict[str, Any] = {
    "target": "churned",
    "task": "binary",
    "numbers": ["fee", "age"],
    "categories": ["plan", "city"],
    "texts": ["remark"],
    "id": "customer",
    "time": "joined",
}


@cache
def _make_frame() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer": np.arange(ROWS),
            "joined": pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d"),
            "fee": draw.normal(30, 5, ROWS).round(2),
            "age": draw.integers(18, 80, ROWS).astype(float),
            "plan": draw.choice(["a", "b"], ROWS),
            "city": draw.choice([1.0, 2.0, 3.0], ROWS),
            "remark": [f"came {word} today" for word in draw.choice(["late", "early"], ROWS)],
            "churned": draw.choice(["no", "yes"], ROWS),
        }
    )


def _make_table(chance: random.Random, number: int) -> tuple[str, bytes]:
    frame = _make_frame()
    if number < 0:
        return "some.csv", frame.to_csv(index=False).encode()
    if chance.random() < 0.25:
        return "some.parquet", _make_parquet(frame, chance)
    separator = chance.choice(",;\t|")
    lines = frame.to_csv(index=False, sep=separator).splitlines()
    if chance.random() < 0.7:
        lines = mutate_lines(lines, chance, separator + '"-.', keep=chance.choice((1, 1, 1, 0)))
    text = chance.choice(("\n", "\r\n", "\r")).join(lines)
    encoding = chance.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"))
    content = text.encode(encoding, "replace")
    if chance.random() < 0.5:
        content = mutate_bytes(content, chance, keep=chance.choice((0, 60)))
    packing = chance.choice((None, None, None, "gz", "bz2", "xz"))
    if packing is not None:
        content = {"gz": gzip, "bz2": bz2, "xz": lzma}[packing].compress(content)
    return "some.csv" if packing is None else f"some.csv.{packing}", content


def _make_parquet(frame: pd.DataFrame, chance: random.Random) -> bytes:
    changed = frame.copy()
    name = chance.choice(list(changed))
    values = [value for value in (*NASTY_VALUES, *NASTY_TEXTS) if not isinstance(value, list)]
    way = chance.randrange(5)
    if way == 0:
        changed = changed.drop(columns=name)
    elif way == 1:
        kind = chance.choice((float, str))
        pool: list[Any] = [value for value in values if isinstance(value, kind)]
        changed[name] = [chance.choice(pool) for _ in range(ROWS)]
    elif way == 2:
        changed[name] = chance.choice((np.inf, np.nan, True, 2**62, "x" * 9000))
    elif way == 3:
        changed[name] = pd.date_range("1700-01-01", periods=ROWS, tz=chance.choice((None, "UTC")))
    else:
        lists: list[Any] = [chance.choice(([1], [], None)) for _ in range(ROWS)]
        changed[name] = lists
    sink = io.BytesIO()
    changed.to_parquet(sink)
    content = sink.getvalue()
    return mutate_bytes(content, chance, keep=8) if chance.random() < 0.3 else content


def _check_table(path: Path) -> None:
    from regrow.tabular.cleaning import read_table

    read_table(path, path.name)


def _read_table(path: Path, _out: Path) -> Any:
    import regrow
    from regrow.scaffold.columns import guess_columns
    from regrow.tabular.cleaning import convert, read_table

    frame = read_table(path, path.name)
    guess_columns(frame, path.name)
    return convert(frame, regrow.columns(**COLUMNS), path.name)


def _expect_table(found: Any) -> None:
    expected = _make_frame()
    np.testing.assert_array_equal(found["fee"], expected["fee"])
    assert found["city"].tolist() == [str(int(city)) for city in expected["city"]]
    assert found["joined"].dt.strftime("%Y-%m-%d").tolist() == expected["joined"].tolist()


def _import_tables() -> None:
    import pyarrow.parquet  # noqa: F401

    import regrow.scaffold.columns
    import regrow.tabular.cleaning  # noqa: F401

    _make_frame()


READERS = (
    Fuzzed(
        "tables",
        ("tabular/cleaning.py", "scaffold/columns.py"),
        _make_table,
        _check_table,
        _read_table,
        _expect_table,
        _import_tables,
    ),
)
