"""The schema of an SQLite database of MLflow, which differs between MLflow's versions.

MLflow itself upgrades some older databases in place without a word, and refuses others.
"""

from __future__ import annotations

import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from regrow.base.addresses import database_address
from regrow.base.errors import UserError
from regrow.base.files import move_into_place
from regrow.base.home import Home
from regrow.base.locks import exclusive


@contextmanager
def made_beside(path: Path) -> Iterator[Path]:
    """A path to make a database at, in a folder of its own: SQLite writes a journal beside it."""
    folder = path.with_name(f".{path.name}.making")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder / path.name
    folder.rmdir()


def match_schema(
    path: Path, home: Home, migrations: Path, upgrade: Callable[[str], object], version: str
) -> None:
    """Brings the home's own database to the schema of this MLflow; the old file is kept.

    Args:
        path: an SQLite file.
        home: whose own database is upgraded, and no other.
        migrations: the folder of MLflow's own migrations.
        upgrade: MLflow's upgrade of the database at an address.
        version: the version of MLflow, for the message.

    Raises:
        UserError: another MLflow has written it, and only a person can decide what to do.
    """
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrations))
    found, expected = _read_revision(path), scripts.get_current_head()
    if found in (None, expected):
        return
    is_known = any(script.revision == found for script in scripts.walk_revisions())
    if not is_known or path.resolve() != home.database.resolve():
        upgrade_it = (
            f"copy the file, then run mlflow db upgrade {shlex.quote(database_address(path))}"
        )
        install = "install the versions of regrow and MLflow that wrote it"
        raise UserError(
            f"the MLflow database is from {'an older' if is_known else 'a newer'} MLflow",
            where=str(path),
            received=f"schema {found}",
            expected=f"schema {expected}, of MLflow {version}",
            remedies=[upgrade_it if is_known else install],
        )
    with exclusive(home.lock("mlflow-database")):
        if _read_revision(path) != found:
            return  # another process has just done it
        with made_beside(path) as made:
            _copy_database(path, made)
            upgrade(database_address(made))
            _copy_database(path, home.old_database(found))
            move_into_place(made, path)


def _read_revision(path: Path) -> str | None:
    """The schema of an MLflow database; None if it states none."""
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.OperationalError):
        for (revision,) in connection.execute("SELECT version_num FROM alembic_version"):
            return str(revision)
    return None


def _copy_database(path: Path, copy: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
