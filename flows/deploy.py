"""Makes what prefect.yaml declares on a server: pools, queues, automations, deployments."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings
from pydantic import BaseModel, ConfigDict

from regrow.engine.config import find_project
from regrow.engine.errors import UserError


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    description: str | None = None
    concurrency_limit: int | None = None


class Queue(_Declared):
    """A work queue of a pool."""


class Pool(_Declared):
    """A work pool: what kind of worker runs what is sent there."""

    type: str
    queues: list[Queue] = []


class Extras(BaseModel):
    """The section `regrow` of prefect.yaml."""

    model_config = ConfigDict(extra="forbid")

    work_pools: list[Pool] = []
    automations: list[dict[str, Any]] = []


def deploy() -> list[str]:
    """Makes or updates it all, and asks nothing. A second time changes nothing.

    Returns:
        A line for each thing that is there now.

    Raises:
        UserError: no server is named, it cannot be reached, or Prefect refuses a deployment.
    """
    import yaml

    path = find_project() / "prefect.yaml"
    declared = yaml.safe_load(path.read_text(encoding="utf-8"))
    extras = Extras.model_validate(declared.get("regrow", {}))
    done = []
    check_server()
    with get_client(sync_client=True) as client:
        for pool in extras.work_pools:
            _make_pool(client, pool)
            done.append(f"work pool {pool.name} ({pool.type})")
            done += [f"work queue {pool.name}/{queue.name}" for queue in pool.queues]
        for values in extras.automations:
            done.append(f"automation {_make_automation(values).name}")
    _deploy_all()
    done += [f"deployment {made['entrypoint']} {made['name']}" for made in declared["deployments"]]
    return done


def check_server() -> None:
    """Asks the server of PREFECT_API_URL for something.

    Raises:
        UserError: none is named, or it does not answer as it should.
    """
    url = get_current_settings().api.url
    remedies = [
        "make ui starts one here",
        "export PREFECT_API_URL=http://127.0.0.1:4200/api",
        "a server with a password needs PREFECT_API_AUTH_STRING here as well",
    ]
    if not url:
        raise UserError(
            "there is no Prefect server to deploy to",
            where="PREFECT_API_URL",
            received="not set",
            remedies=remedies,
        )
    try:
        with get_client(sync_client=True) as client:
            client.read_work_pools(limit=1)
    except Exception as error:
        raise UserError(
            "the Prefect server cannot be used",
            where=url,
            received=f"{type(error).__name__}: {error}",
            remedies=remedies,
        ) from error


def _make_pool(client: SyncPrefectClient, pool: Pool) -> None:
    try:
        client.read_work_pool(pool.name)
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(
                name=pool.name,
                type=pool.type,
                description=pool.description,
                concurrency_limit=pool.concurrency_limit,
            )
        )
    else:
        # Its type and its job template may have been changed by hand (Docker, Kubernetes): kept.
        client.update_work_pool(
            pool.name,
            WorkPoolUpdate(description=pool.description, concurrency_limit=pool.concurrency_limit),
        )
    for queue in pool.queues:
        values = queue.model_dump()
        address = f"/work_pools/{pool.name}/queues"
        try:
            client.request("PATCH", f"{address}/{queue.name}", json=values)  # type: ignore[arg-type]
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            client.request("POST", address, json=values)  # type: ignore[arg-type]


def _make_automation(values: dict[str, Any]) -> Automation:
    """Makes it, or overwrites the one of the same name."""
    automation = Automation.model_validate(values)
    try:
        known: Any = Automation.read(name=automation.name)
    except ValueError:
        automation.create()
    else:
        automation.id = known.id
        automation.update()
    return automation


def _deploy_all() -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        command,
        cwd=find_project(),
        env={**os.environ, "PREFECT_LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(
            "Prefect did not make the deployments",
            where=" ".join(["prefect", *command[3:]]),
            received=(done.stdout + done.stderr).strip()[-2000:],
        )
