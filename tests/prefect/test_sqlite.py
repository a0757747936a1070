"""Two transactions that read and then write, at the same time, in one SQLite file."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.exc import OperationalError

from regrow.prefect.sqlite import ImmediateSqlite

READ = sa.text("SELECT value FROM counter")
ADD = sa.text("UPDATE counter SET value = value + 1")


async def add_twice(config: AioSqliteConfiguration) -> int:
    """Adds one in a transaction that another one, which does the same, would overtake."""
    engine = await config.engine()
    async with engine.connect() as connection:
        await connection.execute(sa.text("CREATE TABLE counter (value INTEGER)"))
        await connection.execute(sa.text("INSERT INTO counter VALUES (0)"))
        await connection.commit()

    async def add() -> None:
        session = await config.session(engine)
        async with session, config.begin_transaction(session):
            await session.execute(READ)
            await session.execute(ADD)

    session = await config.session(engine)
    async with session, config.begin_transaction(session):
        await session.execute(READ)
        other = asyncio.create_task(add())
        await asyncio.sleep(0.3)
        started = time.monotonic()
        reader = await config.session(engine)
        async with reader:  # a session that only reads waits for nobody
            await reader.execute(READ)
        assert time.monotonic() - started < 1
        await session.execute(ADD)
    await other
    async with engine.connect() as connection:
        found = await connection.scalar(READ)
    await engine.dispose()
    return int(found or 0)


def test_the_second_transaction_waits_where_prefects_own_fails(tmp_path: Path) -> None:
    def address(name: str) -> str:
        return f"sqlite+aiosqlite:///{tmp_path / name}"

    with pytest.raises(OperationalError, match="database is locked"):
        asyncio.run(add_twice(AioSqliteConfiguration(connection_url=address("own.db"))))
    assert asyncio.run(add_twice(ImmediateSqlite(connection_url=address("ours.db")))) == 2
