"""Addresses: of files that a person names, of MLflow's SQLite database and of its artifacts.

MLflow keeps absolute addresses of artifacts. What regrow keeps in a home is always at
`<home>/mlartifacts/<registered model>/`, so the address of a home that was moved or copied is known
from its end.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.secrets import hide_secrets

SQLITE = "sqlite:///"
# In a plain address a question mark starts the query, so such a path is given as a quoted URI.
QUOTED = "sqlite+pysqlite:///file:"
# What MLflow keeps registered models in. It has folders of files as well, and no longer opens them.
SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
# The entry points of packages by which it learns of other ones.
PLUGINS = "mlflow.tracking_store"
# Another process may be registering a version.
WAIT_S = 60.0
# The columns of MLflow's tables that hold addresses of artifacts, and the registered model's name.
ARTIFACTS = {
    "experiments": ("artifact_location", "name"),
    "runs": (
        "artifact_uri",
        "(SELECT name FROM experiments AS e WHERE e.experiment_id = t.experiment_id)",
    ),
    "logged_models": (
        "artifact_location",
        "(SELECT name FROM experiments AS e WHERE e.experiment_id = t.experiment_id)",
    ),
    "model_versions": ("storage_location", "name"),
}


def database_address(path: Path) -> str:
    """The address by which MLflow opens an SQLite database."""
    return f"{QUOTED}{quote(str(path))}?uri=true" if "?" in str(path) else f"{SQLITE}{path}"


def database_path(address: str) -> Path | None:
    """The file behind the address of an SQLite database; None for servers and other databases."""
    if address.startswith(QUOTED):
        return Path(unquote(address.removeprefix(QUOTED).partition("?")[0]))
    if address.startswith(SQLITE):
        return Path(address.removeprefix(SQLITE).partition("?")[0])
    return None


def check_tracking_address(address: str) -> None:
    """Makes sure that MLflow can keep registered models at what MLFLOW_TRACKING_URI says.

    Raises:
        UserError: it cannot: the address is a folder, or of a kind that MLflow does not know.
    """
    scheme, separator, rest = address.partition("://")
    kind = scheme.lower().partition("+")[0] if separator else ""
    problem = ""
    try:
        parts = urlsplit(address)
        # A database of SQLite without a path is in memory, and gone with the process.
        complete = bool(parts.hostname if kind in SERVERS else rest.strip("/")) and parts.port != 0
    except ValueError as error:
        complete, problem = False, f": {error}"
    if complete and (kind in (*SERVERS, *DATABASES) or _is_plugin(scheme)):
        return
    raise UserError(
        "MLflow cannot keep models at this address",
        where="the environment variable MLFLOW_TRACKING_URI",
        received=hide_secrets(address) + problem,
        expected="a server (http://host:5000) or a database (sqlite:////folder/mlflow.db)",
        remedies=["correct it", "or unset it to use the database in REGROW_HOME"],
    )


def _is_plugin(scheme: str) -> bool:
    return any(one.name == scheme for one in entry_points(group=PLUGINS))


def is_own_database(address: str, home: Home) -> bool:
    """Whether an address is that of the home's own database, which moves with it."""
    path = database_path(address)
    return path is not None and path.resolve() == home.database.resolve()


def reroot(address: str, name: str, home: Home) -> str:
    """The address of an artifact of a registered model where the home is now."""
    below = f"/{home.artifacts.name}/{quote(name)}/"
    before, found, tail = f"{address}/".rpartition(below)
    if not found or urlsplit(before).scheme not in ("", "file"):
        return address
    return f"{(home.artifacts / name).as_uri()}/{tail}".rstrip("/")


def reroot_database(home: Home) -> None:
    """Writes the addresses of where the home is now into its own database, if it has one.

    Whoever writes artifacts calls this first: a copy would otherwise write into the original.
    """
    if not home.database.is_file():
        return
    with closing(sqlite3.connect(home.database, timeout=WAIT_S)) as connection, connection:
        for table, (column, name) in ARTIFACTS.items():
            rows = connection.execute(f"SELECT rowid, {column}, {name} FROM {table} AS t")
            for row, address, registered in rows.fetchall():
                present = reroot(address or "", registered or "", home)
                if address and present != address:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (present, row)
                    )


def describe_file(addresses: Sequence[str], *, is_url: bool) -> dict[str, Any]:
    """A file as sources.toml declares it: its name, and its URLs or else its path.

    Args:
        addresses: URLs of the same file, or one path.
    """
    first = addresses[0]
    if is_url:
        return {"name": urlsplit(first).path.rpartition("/")[2], "urls": list(addresses)}
    return {"name": Path(first).name, "path": first}


def read_path(text: str, where: str) -> Path:
    """The absolute path that a person gives as a path or as a file:// URL. A link stays one.

    Raises:
        UserError: it is an address of another kind, or a file:// URL of another machine.
    """
    parts = urlsplit(text) if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) else None
    try:
        if parts is None:
            return _make_absolute(Path(text).expanduser())
        if parts.scheme.lower() == "file" and parts.netloc in ("", "localhost"):
            return _make_absolute(Path(unquote(parts.path)))
        problem = "this type of address is not supported"
    except (OSError, RuntimeError, ValueError) as error:
        problem = str(error)
    raise UserError(
        "this is not a file or folder on this machine",
        where=where,
        received=f"{text}: {problem}",
        expected="a path, or file:///absolute/path",
        remedies=["copy it to this machine or mount it, and pass its path"],
    )


def _make_absolute(path: Path) -> Path:
    path.resolve()  # refuses what cannot be a path
    return path.absolute()


def local_path(address: str) -> Path | None:
    """The file or folder behind an address of this machine; None for any other."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(address) if not parts.scheme else None
