"""The digests of the model files of registered versions, kept as a tag of each version.

Whoever can write to the artifacts cannot write to the registry, so a file that was exchanged is
noticed. Versions that were registered before this tag existed get it when a home is migrated.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from regrow.base.addresses import WAIT_S, local_path, reroot
from regrow.base.digests import digest_file
from regrow.base.home import Home

log = logging.getLogger(__name__)

TAG = "regrow.model_digests"
MODEL = "model.keras"


def digest_models(folder: Path) -> dict[str, str]:
    """The SHA-256 of each model file in the folder of a version, by its path there."""
    return {
        path.relative_to(folder).as_posix(): digest_file(path)
        for path in sorted(folder.rglob(MODEL))
        if path.is_file()
    }


def digest_version(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in the folder of a version, by its path there; models come first.

    With them, `regrow serve` makes sure that what it has MLflow load is what was registered.
    """
    every = {
        path.relative_to(folder).as_posix(): digest_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MODEL
    }
    return {**digest_models(folder), **every}


def report_recorded(name: str, version: int, digests: dict[str, str]) -> None:
    """Says in the log that a version got its digests now."""
    found = ", ".join(f"{path} {digest}" for path, digest in digests.items())
    log.warning(
        "%s version %s was registered by an older version of regrow: recorded the digest of its "
        "model (%s)",
        name,
        version,
        found,
    )


def record_old_versions(home: Home) -> None:
    """Adds the tag to all versions in the home's MLflow database that lack it; can be repeated.

    Versions whose files are not on this machine get it when they are loaded first.
    """
    database = home.database
    if not database.is_file():
        return
    try:
        with closing(sqlite3.connect(database, timeout=WAIT_S)) as connection, connection:
            for name, version, place in connection.execute(
                "SELECT name, version, storage_location FROM model_versions AS v WHERE NOT EXISTS "
                "(SELECT 1 FROM model_version_tags AS t WHERE t.name = v.name AND "
                "t.version = v.version AND t.key = ?)",
                (TAG,),
            ).fetchall():
                folder = local_path(reroot(place, name, home)) if place else None
                digests = digest_models(folder) if folder else {}
                if not digests:
                    continue
                connection.execute(
                    "INSERT INTO model_version_tags (key, value, name, version) "
                    "VALUES (?, ?, ?, ?)",
                    (TAG, json.dumps(digests), name, version),
                )
                report_recorded(name, version, digests)
    except sqlite3.Error as error:
        log.warning("%s: the digests of models are not recorded: %s", database, error)
