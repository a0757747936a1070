"""What the registry says of a model now, read without importing MLflow, which takes seconds.

SQLite is read by a query of MLflow's tables, a server by its REST interface. A test compares both
with MLflow's own client.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from regrow.base.addresses import database_path
from regrow.base.decision import Decision
from regrow.base.errors import DataError, Unreachable, UserError
from regrow.base.home import Home
from regrow.base.network import check_network
from regrow.base.secrets import hide_secrets
from regrow.registry.gate import read_decisions
from regrow.registry.logs import decision_log
from regrow.registry.names import CHAMPION, FROZEN, LIBRARIES, ChampionRef

TIMEOUT_S = 10.0
# The stage by which MLflow marks versions that were deleted.
DELETED = "Deleted_Internal"


@dataclass(frozen=True)
class Standing:
    """The state of a registered model.

    Attributes:
        champion: the version that the alias `champion` points to; None if there is none.
        versions: the numbers of the registered versions.
        frozen: why and by whom the champion is frozen; None if it is not.
        libraries: the libraries that the champion was trained with, as JSON; None if not known.
    """

    champion: int | None = None
    versions: frozenset[int] = frozenset()
    frozen: str | None = None
    libraries: str | None = None


def read_standing(tracking_uri: str, name: str, home: Home) -> Standing:
    """Reads the champion and the versions of a registered model.

    Raises:
        Unreachable: the server does not answer, or refuses.
        UserError: the database cannot be read.
    """
    database = database_path(tracking_uri)
    if database is not None:
        return _read_database(database, name)
    if tracking_uri.startswith(("http://", "https://")):
        return _ask_server(tracking_uri, name)
    return _ask_client(tracking_uri, name, home)


def check_version(ref: ChampionRef, tracking_uri: str, home: Home) -> None:
    """Makes sure that a version, or the champion, is registered.

    Raises:
        Unreachable: the server does not answer, or refuses.
        UserError: it is not, or the database cannot be read.
    """
    standing = read_standing(tracking_uri, ref.registered, home)
    there = (
        standing.champion is not None if ref.version is None else ref.version in standing.versions
    )
    if there:
        return
    error = no_such_version(ref.registered, ref.version, standing.versions, tracking_uri)
    on_sample = replace(ref, sample=True, version=None)
    if not ref.sample and read_standing(tracking_uri, on_sample.registered, home).champion:
        error.remedies = ("use --sample for the champion of the shipped sample", *error.remedies)
    raise error


def no_such_version(
    name: str, version: int | None, known: Iterable[int], tracking_uri: str
) -> UserError:
    """The error that a registered model lacks a version, or the champion for None."""
    wanted = "champion" if version is None else f"version {version}"
    ref = ChampionRef.parse(name)
    versions = sorted(known, reverse=True)
    remedies = [f"regrow run {ref.model}{' --sample' * ref.sample} trains and publishes one"]
    if versions and version is None:
        remedies.insert(
            0, f"regrow rollback {ref.arguments} {versions[0]} makes that version the champion"
        )
    return UserError(
        f"{name} has no {wanted}",
        where=hide_secrets(tracking_uri),
        expected=f"one of the versions: {', '.join(map(str, versions)) or 'none'}",
        remedies=remedies,
    )


def no_such_run(name: str, run_id: str, tracking_uri: str) -> DataError:
    """The error that the run of a version was deleted for good, as `mlflow gc` does."""
    return DataError(
        f"a run of {name} was deleted from MLflow together with its files",
        where=hide_secrets(tracking_uri),
        received=f"no run {run_id}",
        expected="the run that created the registered version",
        remedies=[
            "restore MLflow and its artifacts from a backup",
            "or delete that version in MLflow as well; the next run publishes a new one",
        ],
    )


def _read_database(path: Path, name: str) -> Standing:
    if not path.exists():
        return Standing()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            champions = connection.execute(
                "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?",
                (name, CHAMPION),
            ).fetchall()
            versions = connection.execute(
                "SELECT version FROM model_versions WHERE name = ? AND current_stage != ?",
                (name, DELETED),
            ).fetchall()
            frozen = connection.execute(
                "SELECT value FROM registered_model_tags WHERE name = ? AND key = ?", (name, FROZEN)
            ).fetchall()
            libraries = connection.execute(
                "SELECT t.value FROM model_version_tags AS t JOIN registered_model_aliases AS a "
                "ON a.name = t.name AND a.version = t.version "
                "WHERE t.name = ? AND a.alias = ? AND t.key = ?",
                (name, CHAMPION, LIBRARIES),
            ).fetchall()
    except sqlite3.Error as error:
        raise UserError(
            "the registry cannot be read, so the champion is unknown",
            where=str(path),
            received=str(error),
            expected="MLflow's SQLite database",
            remedies=["restore it from a backup", "or set MLFLOW_TRACKING_URI to another database"],
        ) from error
    return Standing(
        champion=int(champions[0][0]) if champions else None,
        versions=frozenset(int(version) for (version,) in versions),
        frozen=frozen[0][0] if frozen else None,
        libraries=libraries[0][0] if libraries else None,
    )


def _ask_server(address: str, name: str) -> Standing:
    import httpx

    check_network()
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token and not user else {}
    try:
        with httpx.Client(
            base_url=f"{address.rstrip('/')}/api/2.0/mlflow/",
            auth=(user, password) if user else None,
            headers=headers,
            timeout=TIMEOUT_S,
            verify=os.environ.get("MLFLOW_TRACKING_INSECURE_TLS") != "true",
        ) as client:
            return _read_answers(client, name)
    except (httpx.HTTPError, ValueError) as error:
        received = str(error) or type(error).__name__
        cause: Exception = error
    except (AttributeError, LookupError, TypeError) as error:  # JSON of another form
        received = f"an answer that is not one of MLflow's ({type(error).__name__}: {error})"
        cause = error
    raise Unreachable(
        "the MLflow server does not respond, so the champion is unknown",
        where=address,
        received=hide_secrets(received),
        remedies=["check MLFLOW_TRACKING_URI, or start the server, and run again"],
    ) from cause


def _read_answers(client: Any, name: str) -> Standing:
    model = _get(client, "registered-models/get", {"name": name}).get("registered_model", {})
    versions = _get_versions(client, name)
    aliases = {one["alias"]: one["version"] for one in model.get("aliases", [])}
    champion = int(aliases[CHAMPION]) if CHAMPION in aliases else None
    return Standing(
        champion,
        frozenset(versions),
        frozen=_read_tags(model).get(FROZEN),
        libraries=versions.get(champion or 0, {}).get(LIBRARIES),
    )


def _get_versions(client: Any, name: str) -> dict[int, dict[str, str]]:
    """The tags of all versions of a registered model."""
    versions: dict[int, dict[str, str]] = {}
    query = {"filter": f"name='{name}'"}
    while True:
        page = _get(client, "model-versions/search", query)
        for one in page.get("model_versions", []):
            versions[int(one["version"])] = _read_tags(one)
        if not page.get("next_page_token"):
            return versions
        query["page_token"] = page["next_page_token"]


def _read_tags(of: Mapping[str, Any]) -> dict[str, str]:
    return {one["key"]: one.get("value", "") for one in of.get("tags", [])}


def _get(client: Any, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    answer = client.get(path, params=query)
    if answer.status_code in (400, 404):
        code = answer.json().get("error_code")
        if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return {}
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _ask_client(tracking_uri: str, name: str, home: Home) -> Standing:
    """Other databases, such as PostgreSQL: through MLflow itself."""
    from regrow.registry.versions import Registry

    registry = Registry(tracking_uri, name, home)
    champion = registry.champion()
    return Standing(
        champion=int(champion.version) if champion else None,
        versions=frozenset(int(found.version) for found in registry.versions()),
        frozen=registry.frozen(),
        libraries=champion.tags.get(LIBRARIES) if champion else None,
    )


def decision_holds(decision: Decision, tracking_uri: str, home: Home) -> bool:
    """Whether the version that was decided on exists, and the champion is still the one
    that its decision left: then it was judged against the present champion, on the same data. And
    whether neither a person has decided on the version since, nor a champion been unfrozen for
    which it was held.

    Raises:
        Unreachable: the server does not answer, or refuses.
        UserError: the database cannot be read.
    """
    standing = read_standing(tracking_uri, decision.model, home)
    if decision.version not in standing.versions or standing.champion != decision.champion_after:
        return False
    if decision.hold == "frozen" and decision.action == "held" and standing.frozen is None:
        return False
    log = read_decisions(decision_log(home, tracking_uri, decision.model))
    on_it = [found for found in log if found.version == decision.version]
    return not on_it or on_it[-1].key == decision.key or not on_it[-1].is_review
