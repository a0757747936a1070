"""The result of an SQL query as a Parquet file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, BinaryIO

from regrow.base.placeholders import SecretMissing, fill_secrets
from regrow.base.secrets import hide_secrets
from regrow.sources.retries import LocationError, TransientFailure

if TYPE_CHECKING:
    from sqlalchemy import URL


class QueryFile:
    """The rows that a query gave, as a Parquet file.

    Attributes:
        stat: `st_size` in bytes and `st_mtime_ns`, as of a file: that of this moment, as no
            database tells whether an answer is still the same.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self.stat = SimpleNamespace(st_size=size, st_mtime_ns=time.time_ns())

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        return self._stream.read(size)


@contextmanager
def open_query(query: str, database: str) -> Iterator[QueryFile]:
    """Runs a query and gives its rows. Whatever it changes is rolled back.

    The same rows in the same order are the same bytes, so a query should have an ORDER BY.

    Args:
        query: SQL that gives rows.
        database: an SQLAlchemy URL; `${NAME}` in it is taken from the environment.

    Raises:
        LocationError: the URL cannot be used, the database does not answer or refuses the query.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

    try:
        engine = sqlalchemy.create_engine(fill_secrets(database))
    except (ArgumentError, NoSuchModuleError, ImportError, SecretMissing) as error:
        raise LocationError(f"the database URL is not valid: {_explain(error)}") from error
    _check_sqlite(engine.url)
    try:
        with engine.connect() as connection:
            frame = pd.read_sql_query(query, connection, dtype_backend="pyarrow")
            table = pa.Table.from_pandas(frame, preserve_index=False)
    except OperationalError as error:
        raise TransientFailure(f"the database does not respond: {_explain(error)}") from error
    except (pd.errors.DatabaseError, SQLAlchemyError, pa.ArrowException) as error:
        raise LocationError(f"the query failed: {_explain(error)}") from error
    finally:
        engine.dispose()
    with tempfile.TemporaryFile() as stream:
        # Without pandas' description, which names its version.
        pq.write_table(table.replace_schema_metadata(None), stream)
        size = stream.tell()
        stream.seek(0)
        yield QueryFile(stream, size)


def _check_sqlite(url: URL) -> None:
    """Makes sure that a database is there, which SQLite would make otherwise.

    Raises:
        LocationError: there is none.
    """
    name, kind = url.database, url.drivername
    is_file = kind.startswith("sqlite") and name and not name.startswith((":memory:", "file:"))
    if is_file and not Path(str(name)).is_file():
        raise LocationError(f"there is no SQLite database {name}", kind="absent")


def _explain(error: Exception) -> str:
    cause = error.__cause__ or error  # pandas quotes the whole query
    return hide_secrets(str(getattr(cause, "orig", None) or cause).splitlines()[0])
