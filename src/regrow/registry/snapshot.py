"""A copy of the home's own registry at one moment, read without MLflow."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from regrow.base.addresses import WAIT_S, reroot
from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.model_digests import TAG
from regrow.registry.lookup import DELETED
from regrow.registry.names import CHAMPION


@dataclass(frozen=True)
class StoredVersion:
    """A registered version.

    Attributes:
        addresses: where the files of its model and of its run are.
        digests: the SHA-256 of its model files, by their paths below the first of these.
        is_champion: whether the alias points to it.
    """

    name: str
    number: int
    addresses: tuple[str, ...]
    digests: dict[str, str]
    is_champion: bool

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"


@contextmanager
def registry_at_rest(home: Home, copy: Path) -> Iterator[None]:
    """Copies the database, if there is one, and keeps everybody from changing what it names.

    In the meantime no version is registered, judged, approved or rolled back, so the log of
    decisions and the artifacts are those of the database. Trainings go on.

    Raises:
        LockTimeout: a publication takes longer than an hour.
        UserError: the database cannot be read.
    """
    with ExitStack() as locks:
        held: set[str] = set()
        found = {path.stem for path in home.decisions.glob("**/[!.]*.jsonl")}
        while True:
            for name in sorted(found - held):
                locks.enter_context(exclusive(home.registry_lock(name)))
            held |= found
            found = _copy_database(home.database, copy) if home.database.is_file() else set()
            if found <= held:  # a model that is not locked may be half published in the copy
                break
        yield


def _copy_database(database: Path, copy: Path) -> set[str]:
    """Copies a database that others may be writing to; the names of its registered models."""
    copy.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(database, timeout=WAIT_S)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            return {name for (name,) in target.execute("SELECT name FROM registered_models")}
    except sqlite3.Error as error:
        raise UserError(
            "the registry cannot be read, so no backup was written",
            where=str(database),
            received=str(error),
            expected="MLflow's SQLite database",
        ) from error


def list_versions(database: Path, home: Home) -> list[StoredVersion]:
    """The versions in a copied database, with the present addresses of their files."""
    if not database.is_file():
        return []
    query = """
        SELECT v.name, v.version, v.storage_location, r.artifact_uri, t.value, a.alias
        FROM model_versions AS v
        LEFT JOIN runs AS r ON r.run_uuid = v.run_id
        LEFT JOIN model_version_tags AS t
            ON t.name = v.name AND t.version = v.version AND t.key = ?
        LEFT JOIN registered_model_aliases AS a
            ON a.name = v.name AND a.version = v.version AND a.alias = ?
        WHERE v.current_stage != ? ORDER BY v.name, v.version
    """
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(query, (TAG, CHAMPION, DELETED)).fetchall()
    return [
        StoredVersion(
            name=name,
            number=int(version),
            addresses=tuple(reroot(address, name, home) for address in addresses if address),
            digests=json.loads(digests) if digests else {},
            is_champion=alias is not None,
        )
        for name, version, *addresses, digests, alias in rows
    ]
