"""What `regrow doctor` looks at. Versions are read from metadata: nothing heavy is imported."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from regrow.engine.config import Settings
from regrow.engine.errors import UserError
from regrow.engine.fingerprint import library_version
from regrow.engine.secrets import hide_secrets

PROBE_TIMEOUT_S = 0.8
MIN_FREE_GIB = 2.0
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

Level = Literal["ok", "warn", "bad"]
Check = dict[str, str]


def examine(settings: Settings) -> list[Check]:
    """Runs every check; the servers are asked at the same time, each for at most 0.8 s."""
    servers = {
        "mirror (REGROW_MIRROR)": settings.mirror,
        "Prefect server (PREFECT_API_URL)": os.environ.get("PREFECT_API_URL"),
        "MLflow (MLFLOW_TRACKING_URI)": os.environ.get("MLFLOW_TRACKING_URI"),
    }
    with ThreadPoolExecutor() as pool:
        reached = list(pool.map(_reach, servers, servers.values()))
    return [
        _check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *(_library(name) for name in LIBRARIES),
        _backends(settings),
        _disk(settings.home),
        *reached,
        _shared_store(settings),
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
    return _check("Keras backends", level, f"{', '.join(there) or 'none'}; in use: {chosen}")


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
    from regrow.engine.shared import SharedStore

    try:
        SharedStore(settings.shared_store).read("handed-back/probe")
    except UserError as error:
        return _check(name, "bad", f"{error.what}: {error.received or error.expected}")
    return _check(name, "ok", f"{settings.shared_store}: answers")


def _reach(name: str, address: str | None) -> Check:
    if not address:
        return _check(name, "ok", "not set")
    if not address.startswith(("http://", "https://")):
        path = Path(address.removeprefix("sqlite:///")).expanduser()
        if "mirror" in name and not path.is_dir():
            return _check(name, "bad", f"{address}: no such folder")
        return _check(name, "ok", address)
    import httpx

    probe = address.rstrip("/") + ("/health" if "Prefect" in name else "/")
    try:
        status = httpx.get(probe, timeout=PROBE_TIMEOUT_S).status_code
    except httpx.HTTPError as error:
        return _check(name, "bad", f"{address}: {type(error).__name__}")
    return _check(name, "ok" if status < 500 else "bad", f"{address}: answers {status}")
