"""`regrow doctor`: checks of this machine. Versions are read from metadata, not by importing."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import typer

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.network import EXCEPTIONS, PROXIES, find_problem
from regrow.base.project import list_models
from regrow.base.secrets import hide_secrets
from regrow.base.settings import Settings, read_environment
from regrow.cli.options import Json
from regrow.cli.output import print_json, print_table
from regrow.pipeline.upkeep import check_champion
from regrow.prefect.own_server import check_prefect_home
from regrow.prefect.user_settings import API_URL, PREFECT_HOME, Choice, check_files, find_choice
from regrow.registry.names import list_champions
from regrow.registry.state import read_state
from regrow.store.fingerprint import library_version

PROBE_TIMEOUT_S = 0.8
MIN_FREE_GIB = 2.0
MAX_BACKUP_AGE = timedelta(days=7)
LIBRARIES = (
    "tensorflow",
    "keras",
    "prefect",
    "mlflow",
    "great_expectations",
    "pandas",
    "numpy",
    "pyarrow",
    "sklearn",
    "fastapi",
    "sqlalchemy",
)
# The versions from which Prefect 3.8's server stops working; see docs/architecture.md.
TOO_NEW = {"fastapi": (0, 151), "sqlalchemy": (2, 1)}

PREFECT_SERVER = "Prefect server (PREFECT_API_URL)"

Level = Literal["ok", "warn", "bad"]
Check = dict[str, str]

app = typer.Typer()


@app.command(epilog="Examples: [bold]regrow doctor[/]   [bold]regrow doctor --json[/]")
def doctor(as_json: Json = False) -> None:
    """Checks versions, backends, disk, mirror, servers, and the age of the backup and champions."""
    checks = examine(read_environment())
    if as_json:
        print_json(checks)
    else:
        rows = [
            [{"ok": "ok", "warn": "!", "bad": "✗"}[c["level"]], c["check"], c["found"]]
            for c in checks
        ]
        print_table("doctor", ["", "check", "found"], rows)
    if any(check["level"] == "bad" for check in checks):
        raise typer.Exit(1)


def examine(settings: Settings) -> list[Check]:
    """Runs every check; the servers are asked in parallel, each for at most 0.8 s."""
    try:
        check_files()
        chosen: Choice | UserError | None = find_choice(API_URL)
    except UserError as error:
        chosen = error
    prefect_url = chosen.value if isinstance(chosen, Choice) else None
    servers = {
        "mirror (REGROW_MIRROR)": settings.mirror,
        PREFECT_SERVER: prefect_url,
        "MLflow (MLFLOW_TRACKING_URI)": os.environ.get("MLFLOW_TRACKING_URI"),
    }
    with ThreadPoolExecutor() as pool:
        reached = list(pool.map(_reach, servers, servers.values()))
    return [
        _check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *(_library(name) for name in LIBRARIES),
        _backends(settings),
        _disk(settings.home.path),
        *(_add_origin(check, chosen, settings.home) for check in reached),
        _password(prefect_url),
        _network(),
        _shared_store(settings),
        _backup(settings.home),
        *_champions(settings),
    ]


def _check(check: str, level: Level, found: str) -> Check:
    return {"check": check, "level": level, "found": hide_secrets(found)}


def _library(name: str) -> Check:
    version = library_version(name)
    if version == "not installed":
        return _check(name, "bad", "not installed; run make setup")
    limit = TOO_NEW.get(name)
    if limit and tuple(int(part) for part in version.split(".")[:2]) >= limit:
        below = ".".join(map(str, limit))
        return _check(name, "bad", f"{version}; Prefect's server needs a version below {below}")
    return _check(name, "ok", version)


def _backends(settings: Settings) -> Check:
    names = ("tensorflow", "jax", "torch")
    there = [name for name in names if importlib.util.find_spec(name)]
    chosen = settings.backend
    level: Level = "ok" if chosen in there else "bad"
    keras = settings.keras
    used = f"{chosen}, {keras.floatx}, epsilon {keras.epsilon:g}, {keras.image_data_format}"
    return _check("Keras backends", level, f"{', '.join(there) or 'none'}; in use: {used}")


def _disk(home: Path) -> Check:
    place = next(path for path in (home, *home.parents) if path.exists())
    free_gib = shutil.disk_usage(place).free / 2**30
    level: Level = "ok" if free_gib >= MIN_FREE_GIB else "warn"
    if not os.access(place, os.W_OK):
        return _check("state (REGROW_HOME)", "bad", f"{home} cannot be written to")
    return _check("state (REGROW_HOME)", level, f"{home}, {free_gib:.0f} GiB free")


def _shared_store(settings: Settings) -> Check:
    name = "shared store (REGROW_SHARED_STORE)"
    if not settings.shared_store:
        return _check(name, "ok", "not set")
    from regrow.store.shared import SharedStore

    try:
        SharedStore(settings.shared_store, settings.store_key).read("stage-results/probe")
    except UserError as error:
        return _check(name, "bad", f"{error.what}: {error.received or error.expected}")
    if settings.store_key is None:
        unsigned = "REGROW_STORE_KEY is not set: make sure that only your machines can write there"
        return _check(name, "warn", f"{settings.shared_store}: answers; {unsigned}")
    return _check(name, "ok", f"{settings.shared_store}: reachable; entries are signed")


def _backup(home: Home) -> Check:
    """How old the last backup is."""
    name = "last backup"
    if not home.decisions.exists():
        return _check(name, "ok", "nothing to back up yet")
    try:
        last = json.loads(home.last_backup.read_text(encoding="utf-8"))
        at, path = datetime.fromisoformat(last["at"]), last["path"]
        age = datetime.now(UTC) - at
    except FileNotFoundError:
        return _check(name, "warn", "none; create one with regrow backup PATH")
    except (ValueError, TypeError, KeyError) as error:
        return _check(name, "warn", f"{home.last_backup} cannot be read: {error}")
    days, hours = age.days, age.seconds // 3600
    said = f"{days} days" if days else f"{hours} hours"
    return _check(name, "warn" if age > MAX_BACKUP_AGE else "ok", f"{said} old: {path}")


def _champions(settings: Settings) -> Iterator[Check]:
    """How old the champions are, and whether the libraries of their trainings are installed."""
    for model in list_models():
        for ref in list_champions(settings, model):
            state = read_state(ref, settings)
            if state is None or state.alias is None:
                continue
            upkeep = check_champion(ref, state, settings)
            age = "of unknown age" if upkeep.age_days is None else f"{upkeep.age_days:.0f} days old"
            found = "; ".join(upkeep.remarks) or f"version {state.alias}, {age}"
            yield _check(f"champion of {ref.registered}", "warn" if upkeep.remarks else "ok", found)


def _password(url: str | None) -> Check:
    """Whether the Prefect server takes the password that regrow's commands send."""
    import httpx

    from regrow.prefect.password import find_password

    name = "password (PREFECT_API_AUTH_STRING)"
    if not url:
        return _check(name, "ok", "no server")
    try:
        user, _, password = (find_password(url) or "").partition(":")
        auth = (user, password) if user else None
        answer = httpx.get(f"{url.rstrip('/')}/admin/version", auth=auth, timeout=PROBE_TIMEOUT_S)
    except Exception as error:  # see `_reach`
        return _check(name, "warn", f"not checked: {error}")
    if answer.status_code == 401:
        return _check(
            name, "bad", f"{url} requires a different one" if auth else f"{url} requires one"
        )
    return _check(name, "ok", "taken" if auth else "none needed")


def _add_origin(check: Check, chosen: Choice | UserError | None, home: Home) -> Check:
    """The check of Prefect's server with where its address is set; without, what a run does."""
    if check["check"] != PREFECT_SERVER:
        return check
    if isinstance(chosen, UserError):
        return _check(PREFECT_SERVER, "bad", f"{chosen.where}: {chosen.received}")
    if chosen is not None:
        return check | {"found": f"{check['found']} ({chosen.where})"}
    try:
        check_prefect_home()
    except UserError as error:
        return _check(PREFECT_SERVER, "bad", f"{error.where}: {error.received}")
    place = find_choice(PREFECT_HOME)
    folder = f"{place.value}, by {place.where}" if place else home.prefect
    return check | {"found": f"not set; each run starts its own server, which uses {folder}"}


def _network() -> Check:
    """The variables of proxies and certificates."""
    name = "proxy and certificates"
    if (problem := find_problem()) is not None:
        return _check(name, "bad", f"{problem.where}: {problem.received}")
    names = (*PROXIES, EXCEPTIONS, "SSL_CERT_FILE", "SSL_CERT_DIR")
    used = [f"{n}={os.environ[n]}" for n in (*names, *map(str.lower, names)) if os.environ.get(n)]
    return _check(name, "ok", ", ".join(used) or "none set")


def _reach(name: str, address: str | None) -> Check:
    if not address:
        return _check(name, "ok", "not set")
    if not address.startswith(("http://", "https://")):
        path = Path(address).expanduser()
        if "mirror" in name and not path.is_dir():
            return _check(name, "bad", f"{address}: no such folder")
        return _check(name, "ok", address)
    import httpx

    probe = address.rstrip("/") + ("/health" if "Prefect" in name else "/")
    try:
        status = httpx.get(probe, timeout=PROBE_TIMEOUT_S).status_code
    except Exception as error:  # those of proxies and certificates are of any type
        return _check(name, "bad", f"{address}: {type(error).__name__}: {error}")
    return _check(name, "ok" if status < 500 else "bad", f"{address}: answers {status}")
