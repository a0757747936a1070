"""From files to a cleaned table: its columns are there, and each has the type that is stated."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from regrow.base.errors import DataError
from regrow.base.file_kinds import PARQUET, ZIP, name_kind

if TYPE_CHECKING:
    import pandas as pd

    from regrow.store.context import StageContext
    from regrow.tabular.model import Columns

SNIFFED_BYTES = 65_536
DELIMITERS = ",;\t|"
# How packed files begin, whatever their names are, and what unpacks them.
PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
EXAMPLES = 5
# A column of numbers may hold some other texts, which count as missing; not more than this share.
MAX_UNREADABLE = 0.05
# Up to here a float64 tells each whole number from the next.
EXACT = 2.0**53


def clean(model: Any, ctx: StageContext) -> dict[str, Any]:
    """Writes `table.parquet`: the rows that have a target, those with a time in its order.

    Raises:
        DataError: the file is not a table, lacks columns, or contains values of the wrong type.
    """
    columns: Columns = model.table
    source = ctx.inputs["download"]
    path = source.file(source.facts["sources"][0]["file"])
    name = str(path)  # which errors replace by where the file came from
    frame = model.clean(read_table(path, name))
    frame = convert(frame, columns, name)
    rows = len(frame)
    known = frame[columns.target].notna()
    frame = frame[known].reset_index(drop=True)
    for key in (columns.time, columns.group):
        if key:
            frame = frame[frame[key].notna()].reset_index(drop=True)
    if columns.time:
        frame = frame.sort_values(columns.time, kind="stable").reset_index(drop=True)
    if frame.empty:
        raise DataError(
            "no row can be used for training",
            where=f"{name}, column {columns.target}",
            received=f"{rows:,} rows, none with a target",
            expected="rows with a value in that column",
        )
    frame.to_parquet(ctx.out / "table.parquet", index=False)
    return {"rows": len(frame), "rows_without_target": rows - int(known.sum())}


def read_inputs(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of files to predict from; the target's column may be missing there.

    Raises:
        DataError: as `clean`.
    """
    import pandas as pd

    columns: Columns = model.table
    frames = []
    for path in paths:
        frame = model.clean(read_table(path, path.name))
        frames.append(convert(frame, columns, path.name, needs_target=False))
    return pd.concat(frames, ignore_index=True)


def read_table(path: Path, name: str) -> pd.DataFrame:
    """A CSV file, also a packed one, or a Parquet file. The delimiter is found in the header.

    Raises:
        DataError: it is neither, or has no header.
    """
    import pandas as pd

    try:
        with _open_unpacked(path) as stream:
            start = stream.read(SNIFFED_BYTES)
            stream.seek(0)
            if start.startswith(PARQUET):
                return pd.read_parquet(stream)
            frame = pd.read_csv(stream, sep=_find_delimiter(start), encoding="utf-8-sig")
    except Exception as error:  # pandas and pyarrow raise whatever they meet
        kind = name_kind(path)
        raise DataError(
            "the file is not a table",
            where=name,
            received=f"{type(error).__name__}: {error}".splitlines()[0]
            + f" (it is {kind})" * bool(kind),
            expected="a CSV file in UTF-8 with a header, or a Parquet file",
            remedies=["save it in one of these formats and use that file"],
        ) from error
    frame.columns = [str(column).strip() for column in frame.columns]
    return frame


@contextmanager
def _open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """What a file holds, unpacked if it is packed: by its content, as a name may be another's."""
    with path.open("rb") as raw:
        head = raw.read(8)
        raw.seek(0)
        if head.startswith(ZIP):
            with zipfile.ZipFile(raw) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
                if len(members) != 1:
                    raise ValueError(f"{len(members)} files in a zip archive")
                with archive.open(members[0]) as stream:
                    yield stream
            return
        unpack = next((how for start, how in PACKED.items() if head.startswith(start)), None)
        if unpack is None:
            yield raw
        else:
            with unpack(raw) as stream:
                yield stream


def _find_delimiter(start: bytes) -> str:
    text = start.decode("utf-8-sig", errors="replace")
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    try:
        return csv.Sniffer().sniff(header, DELIMITERS).delimiter
    except csv.Error:
        return ","


def convert(
    frame: pd.DataFrame, columns: Columns, name: str, *, needs_target: bool = True
) -> pd.DataFrame:
    """The stated columns of a table, each with its type.

    Raises:
        DataError: a column is missing or given twice, or its values are of another kind.
    """
    import pandas as pd

    wanted = list(columns.names)
    if not needs_target and columns.target not in frame.columns:
        wanted.remove(columns.target)
    _check_names(frame, wanted, name)
    made: dict[str, Any] = {}
    for column in wanted:
        values = frame[column]
        if column == columns.time:
            made[column] = _to_times(values, name)
        elif column in columns.numbers or (
            column == columns.target and columns.task == "regression"
        ):
            made[column] = _to_numbers(values, name)
        elif column in columns.categories or column in columns.texts or column == columns.target:
            made[column] = _to_texts(values)
        else:
            made[column] = values
    return pd.DataFrame(made)


def _check_names(frame: pd.DataFrame, wanted: Sequence[str], name: str) -> None:
    found = [str(column) for column in frame.columns]
    missing = [column for column in wanted if column not in found]
    twice = sorted({column for column in wanted if found.count(column) > 1})
    if not missing and not twice:
        return
    shown = ", ".join(found[:30]) + (f", ... ({len(found)} in all)" if len(found) > 30 else "")
    raise DataError(
        "columns are missing from the table" if missing else "some columns occur twice",
        where=f"{name}, the header",
        received=shown,
        expected=", ".join(missing or twice),
        remedies=[
            "correct the names in regrow.columns(...), or rename columns in the clean method",
            *(["add a header to the file"] if all(map(_is_number, found)) else []),
        ],
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _to_numbers(values: pd.Series, name: str) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        numbers = values.astype("float64")
        given = numbers.notna()
    else:
        texts = values.astype("string").str.strip()
        numbers = pd.to_numeric(texts, errors="coerce")
        if numbers.isna().sum() > texts.isna().sum():  # perhaps with a decimal comma
            commas = pd.to_numeric(texts.str.replace(",", "."), errors="coerce")
            numbers = commas if commas.notna().sum() > numbers.notna().sum() else numbers
        numbers = numbers.astype("float64")
        given = texts.notna() & (texts != "")
    numbers = numbers.where(numbers.abs() < float("inf"))  # no network learns from infinity
    bad = numbers.isna() & given
    if bad.sum() > MAX_UNREADABLE * max(len(values), 1):
        raise _wrong_values(values, bad, name, "finite numbers")
    return numbers


def _to_times(values: pd.Series, name: str) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        times = values
    elif pd.api.types.is_numeric_dtype(values):  # such as a year or a step
        return values.astype("float64")
    else:
        times = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True)
        if times.isna().sum() > values.isna().sum():
            times = pd.to_datetime(values, errors="coerce", utc=True)
    bad = times.isna() & values.notna()
    if bad.any():
        raise _wrong_values(values, bad, name, "dates, such as 2024-03-31 or 2024-03-31T08:00:00")
    return times


def _to_texts(values: pd.Series) -> pd.Series:
    """Text; whole numbers without a decimal point, also beside missing values."""
    import pandas as pd

    if pd.api.types.is_float_dtype(values):
        whole = values.dropna()
        if ((whole % 1 == 0) & (whole.abs() <= EXACT)).all():
            values = values.astype("Int64")
    texts = values.astype("string").str.strip()
    return texts.mask(texts == "")


def _wrong_values(values: pd.Series, bad: pd.Series, name: str, expected: str) -> DataError:
    rows = bad.to_numpy().nonzero()[0]
    examples = [f"{str(values.iloc[row])[:80]!r} in row {row}" for row in rows[:EXAMPLES]]
    return DataError(
        f"the column {values.name!r} contains values of the wrong type",
        where=f"{name}, column {values.name}, rows counted from 0",
        received=f"{len(rows):,} of {len(values):,} values: {', '.join(examples)}",
        expected=expected,
        remedies=[
            "declare it with another type in regrow.columns(...)",
            "convert it in the model's clean method",
        ],
    )
