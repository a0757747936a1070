"""What the user has set for Prefect, and where: read as Prefect reads it, without importing it.

The import takes seconds, and whether a server is named has to be known before. A test compares this
with Prefect itself.
"""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.base.addresses import database_address
from regrow.base.errors import UserError
from regrow.base.home import Home

API_URL = "PREFECT_API_URL"
PREFECT_HOME = "PREFECT_HOME"
DATABASE_URLS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
DATABASE_PARTS = ("PREFECT_SERVER_DATABASE_DRIVER", "PREFECT_SERVER_DATABASE_NAME")


@dataclass(frozen=True)
class Choice:
    """A setting that the user has made.

    Attributes:
        value: the value as text.
        where: what to change it in, for messages.
    """

    value: str
    where: str


def find_choice(name: str) -> Choice | None:
    """A setting of Prefect, by the name of its variable; None if it has its default.

    The environment comes first, then a file .env, prefect.toml, pyproject.toml, and the profile.

    Raises:
        UserError: one of these files cannot be read.
    """
    # An empty variable hides what the places after it say.
    if (value := _get(os.environ, name)) is not None:
        return Choice(value, f"the environment variable {name}") if value else None
    if (value := _get(_read_dotenv(), name)) is not None:
        return Choice(value, f"{name} in {Path('.env').resolve()}") if value else None
    for path, table in ((Path("prefect.toml"), ()), (Path("pyproject.toml"), ("tool", "prefect"))):
        if (found := _dig(_read_toml(path), (*table, *_keys(name)))) is not None:
            return Choice(str(found), f"{'.'.join((*table, *_keys(name)))} in {path.resolve()}")
    profile, path, values = _read_profile()
    if value := values.get(name):
        return Choice(str(value), f"{name} of the Prefect profile {profile!r} in {path}")
    return None


def check_files() -> None:
    """Makes sure that every file in which Prefect looks for settings can be read.

    Raises:
        UserError: one of them cannot, so the import of Prefect would fail.
    """
    _read_dotenv()
    for name in ("prefect.toml", "pyproject.toml"):
        _read_toml(Path(name))
    _read_profile()


def keep_below(home: Home) -> dict[str, str]:
    """Variables that keep what Prefect's server writes in the home, unless the user chose a place.

    PREFECT_HOME itself keeps its default: the user's profiles are there.
    """
    if find_choice(PREFECT_HOME):
        return {}
    folder = home.prefect
    wanted = {
        DATABASE_URLS[0]: _database_url(folder / "prefect.db"),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(folder / "storage"),
        "PREFECT_SERVER_MEMO_STORE_PATH": str(folder / "memo_store.toml"),
    }
    if any(find_choice(name) for name in (*DATABASE_URLS, *DATABASE_PARTS)):
        del wanted[DATABASE_URLS[0]]
    return {name: value for name, value in wanted.items() if not find_choice(name)}


def _database_url(path: Path) -> str:
    address = database_address(path)
    return address.replace(address.partition(":")[0], "sqlite+aiosqlite", 1)


def _keys(name: str) -> tuple[str, ...]:
    """The place of a setting in a TOML file: PREFECT_API_URL is url in the table api."""
    parts = name.removeprefix("PREFECT_").lower()
    for table in ("server_database", "server", "results", "api"):
        if parts.startswith(f"{table}_"):
            return (*table.split("_"), parts.removeprefix(f"{table}_"))
    return (parts,)


def _get(values: Mapping[str, str | None], name: str) -> str | None:
    """A variable, whose name may be in small letters; None if it is not set."""
    return values.get(name, next((v for n, v in values.items() if n.upper() == name), None))


def _read_dotenv() -> Mapping[str, str | None]:
    path = Path(".env")
    if not path.is_file():
        return {}
    import dotenv

    try:
        return dotenv.dotenv_values(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, "lines such as NAME=value, in UTF-8") from error


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error, "TOML in UTF-8") from error


def _unreadable(path: Path, error: Exception, expected: str) -> UserError:
    problem = error.strerror if isinstance(error, OSError) else str(error)
    return UserError(
        "Prefect cannot read its settings",
        where=str(path.resolve()),
        received=problem or type(error).__name__,
        expected=expected,
        remedies=["correct this file, or move it away"],
    )


def _dig(values: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _read_profile() -> tuple[str, Path, Mapping[str, Any]]:
    """The name of the active profile, the file that it is in, and its settings."""
    own, default = _find_profiles(), _default_profiles()
    if not own.is_file() and not os.environ.get(PREFECT_HOME):
        own = default or own
    for path in (own, default):
        found = _read_toml(path) if path else {}
        chosen = os.environ.get("PREFECT_PROFILE") if path == own else None
        name = chosen or found.get("active")
        if path and name and name in found.get("profiles", {}):
            return str(name), path, found["profiles"][name]
    return "", Path(), {}


def _find_profiles() -> Path:
    if path := os.environ.get("PREFECT_PROFILES_PATH"):
        return Path(path)
    if path := _read_dotenv().get("PREFECT_PROFILES_PATH"):
        return Path(path)
    for file, keys in (("prefect.toml", ()), ("pyproject.toml", ("tool", "prefect"))):
        if path := _dig(_read_toml(Path(file)), (*keys, "profiles_path")):
            return Path(path)
    home = os.environ.get(PREFECT_HOME) or "~/.prefect"
    return Path(home).expanduser() / "profiles.toml"


def _default_profiles() -> Path | None:
    """The profiles that Prefect brings."""
    spec = importlib.util.find_spec("prefect")
    return Path(spec.origin).parent / "settings" / "profiles.toml" if spec and spec.origin else None
