"""How Prefect's server uses SQLite: whoever may write takes the lock before it reads.

Prefect begins most transactions DEFERRED. One that reads first and writes later fails at once with
"database is locked" if another has written in between, however long it would wait for a lock: what
it has read is no longer true (SQLITE_BUSY_SNAPSHOT). An IMMEDIATE transaction waits at its start.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.database.dependencies import set_database_config
from prefect.server.utilities.database import get_dialect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class ImmediateSqlite(AioSqliteConfiguration):
    """Prefect's configuration for SQLite with IMMEDIATE transactions."""

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begins a transaction that holds the lock for writing from its start."""
        async with session.begin() as transaction:
            # The mode is in force for this BEGIN only: sessions that the block opens just read.
            token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
            try:
                await session.connection()
            finally:
                SQLITE_BEGIN_MODE.reset(token)
            yield transaction


def lock_at_begin() -> None:
    """Has the server of this process begin its transactions so, if its database is SQLite."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        set_database_config(ImmediateSqlite(connection_url=url))
