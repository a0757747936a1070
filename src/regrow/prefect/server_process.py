"""The Prefect server of one command, in a process of its own; see `regrow.prefect.own_server`.

    python -m regrow.prefect.server_process DESCRIPTOR PARENT

It listens on a socket that it inherits, and ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database import provide_database_interface
from prefect.settings import get_current_settings
from sqlalchemy import make_url

from regrow.base.files import atomic_write
from regrow.base.locks import exclusive
from regrow.base.parents import when_orphaned
from regrow.prefect.sqlite import lock_at_begin

# How long the server may take to store what it has received, once nobody waits for it.
END_S = 3.0


def main() -> None:
    """Serves until SIGTERM, or until the parent has ended."""
    descriptor, parent = map(int, sys.argv[1:])
    lock_at_begin()
    prepare_database()
    server = uvicorn.Server(uvicorn.Config(create_app(final=True), log_level="error"))

    def end() -> None:
        server.should_exit = True
        timer = threading.Timer(END_S, os._exit, (0,))
        timer.daemon = True
        timer.start()

    when_orphaned(parent, end)
    server.run(sockets=[socket.socket(fileno=descriptor)])


def prepare_database() -> None:
    """Copies a migrated database to where none is; the migrations take seconds.

    The copy is of the first database that this version of Prefect made for this user.
    """
    path = find_database()
    if path is None or path.exists():
        return
    with exclusive(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return
        template = find_template()
        if template.is_file():
            with atomic_write(path) as unfinished:
                shutil.copyfile(template, unfinished)
            return
        asyncio.run(provide_database_interface().create_db())
        with suppress(OSError, sqlite3.Error):  # without a template, the next one takes longer
            _keep_template(path, template)


def find_database() -> Path | None:
    """The SQLite file that the server uses; None for another kind of database."""
    secret = get_current_settings().server.database.connection_url
    url = make_url(secret.get_secret_value()) if secret else None
    if url is None or url.get_backend_name() != "sqlite" or not url.database:
        return None
    if ":memory:" in url.database or url.database.startswith("file:"):
        return None
    return Path(url.database)


def find_template() -> Path:
    """Where the migrated, empty database of this version of Prefect is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "regrow" / f"prefect-{version('prefect')}.db"


def _keep_template(database: Path, template: Path) -> None:
    with (
        atomic_write(template) as unfinished,
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(unfinished)) as copy,
    ):
        source.backup(copy)


if __name__ == "__main__":
    main()
