"""The air-quality data: from the file to a clean table, and what must hold of that table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.errors import DataError
from regrow.base.file_kinds import name_kind
from regrow.models.air_quality.columns import COLUMNS, TARGET, TIMESTAMP
from regrow.models.air_quality.plain import PLAIN, is_plain
from regrow.models.air_quality.plain import read_header as read_plain_header
from regrow.models.air_quality.reader import TYPED, check_header, read_blocks, read_header
from regrow.models.air_quality.typed import check_names, read_typed
from regrow.models.air_quality.values import SCHEMA, Reading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pandas as pd
    import pyarrow as pa

    from regrow.store.context import StageContext

FILE = "AirQualityUCI.csv"
SENSORS = (
    "pt08_s1_co",
    "pt08_s2_nmhc",
    "pt08_s3_nox",
    "pt08_s4_no2",
    "pt08_s5_o3",
    "temperature_c",
    "relative_humidity_pct",
    "absolute_humidity",
)
# Reference analysers other than NMHC(GT), which failed early and is missing in nine tenths.
ANALYSERS = ("co_mg_m3", "nox_ppb", "no2_ug_m3")


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes `table.parquet`: one row an hour, sorted by time, null where the file says -200.

    Returns:
        Facts: rows, span, missing shares, and what was put right on the way.

    Raises:
        DataError: the file is not as the source has it, or no row has a target.
    """
    import pyarrow.parquet as pq

    source = ctx.inputs["download"].file(FILE)
    out = ctx.out / "table.parquet"
    facts = Reading()
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        for batch in read_table(source, facts):
            writer.write_batch(batch)
            ctx.progress("clean rows", facts.rows, 0)
    if facts.rows_out_of_order:
        _sort(out)
    nulls, first, last = _summarise(out)
    if nulls[TARGET] == facts.rows:
        raise DataError(
            "no row has a benzene value for training",
            where=f"{source}, column C6H6(GT)",
            received=f"-200 (missing) in all {facts.rows} rows",
            remedies=["use another file"],
        )
    return {
        "rows": facts.rows,
        "columns": len(SCHEMA),
        "first": first,
        "last": last,
        "rows_without_target": nulls[TARGET],
        "empty_rows_dropped": facts.empty_rows,
        "rows_reordered": facts.rows_out_of_order,
        "byte_order_mark_removed": facts.byte_order_mark,
        "unix_line_ends": facts.unix_line_ends,
        "missing_share": {name: round(nulls[name] / facts.rows, 4) for name in COLUMNS.values()},
    }


def _sort(path: Path) -> None:
    """Sorts a table by time, all of it in memory; a file in order never comes here."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    order = pc.sort_indices(table, sort_keys=[(TIMESTAMP, "ascending")])
    pq.write_table(table.take(order), path, compression="zstd")


def _summarise(table: Path) -> tuple[dict[str, int], str, str]:
    """Nulls by column and the first and last time, from the file's own statistics."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(table)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    nulls = {
        name: sum(group.column(position).statistics.null_count for group in groups)
        for position, name in enumerate(SCHEMA.names)
    }
    times = [group.column(SCHEMA.names.index(TIMESTAMP)).statistics for group in groups]
    first, last = min(time.min for time in times), max(time.max for time in times)
    return nulls, str(first), str(last)


def read_readings(path: Path) -> pd.DataFrame:
    """Readings to predict from: the source's own format, ordinary CSV, Parquet, Arrow or Excel.

    Returns:
        A frame with `timestamp` and the columns of `INPUTS`, float64, NaN for missing; benzene is
        there where the file has it. Rows keep their order.

    Raises:
        DataError: columns are missing, or a value cannot be read.
    """
    import pyarrow as pa

    batches = list(read_table(path, Reading(), optional={TARGET}))
    readings: pd.DataFrame = pa.Table.from_batches(batches, schema=SCHEMA).to_pandas()
    return readings


def read_table(
    path: Path, facts: Reading, *, optional: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a CSV, Parquet, Arrow or Excel file; see `reader.read_blocks`.

    Raises:
        DataError: the file cannot be read; names file, line and column.
    """
    kind = _find_kind(path)
    if kind is None:
        return read_blocks(path, facts, optional=optional)
    return read_typed(path, kind, facts, optional=optional)


def check_file(path: Path, *, training: bool) -> None:
    """Checks the header of a file to train on or to predict from; benzene is to train on only.

    Raises:
        DataError: it has not the columns of the Air Quality file.
    """
    optional = set() if training else {TARGET}
    kind = _find_kind(path)
    if kind is None:
        check_header(path, read_header(path, Reading()), optional)
    elif kind == PLAIN:
        check_names(path, read_plain_header(path), optional)
    # What has types is looked at when it is read.


def _find_kind(path: Path) -> str | None:
    """One of `TYPED`, `PLAIN`, or None for the source's own format."""
    kind = name_kind(path)
    if kind in TYPED:
        return kind
    return PLAIN if kind is None and is_plain(path) else None
