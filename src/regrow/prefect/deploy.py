"""Creates a project's pools, queues, automations and deployments on a server.

regrow's own are those of its prefect.yaml. Those of another project are made from its models, and
from its own prefect.yaml, if it has one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings
from pydantic import BaseModel, ConfigDict

from regrow.base.errors import UserError
from regrow.base.project_file import find_project, shipped_project
from regrow.base.settings import read_environment
from regrow.prefect.declarations import FILE, common_file, declare_project
from regrow.prefect.password import use_kept_password


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    description: str | None = None
    concurrency_limit: int | None = None


class Queue(_Declared):
    """A work queue of a pool."""


class Pool(_Declared):
    """A work pool: which type of worker runs what is submitted to it."""

    type: str
    queues: list[Queue] = []


class Extras(BaseModel):
    """The section `regrow` of prefect.yaml."""

    model_config = ConfigDict(extra="forbid")

    work_pools: list[Pool] = []
    automations: list[dict[str, Any]] = []


def deploy() -> list[str]:
    """Creates or updates everything, without questions. A second time changes nothing.

    Returns:
        A line for each thing that exists now.

    Raises:
        UserError: there is nothing to deploy, no server is named, it cannot be reached, or Prefect
            refuses a deployment.
    """
    import yaml

    root, shipped = find_project(), shipped_project()
    common = yaml.safe_load(common_file().read_text(encoding="utf-8"))
    own = root / FILE
    files: list[tuple[Path, dict[str, Any]]] = []
    if root == shipped and not (root / "flows").is_dir():
        raise UserError(
            "there is nothing to deploy: regrow's own models are deployed from a checkout",
            where=str(Path.cwd()),
            received="no project",
            expected="a folder with a regrow.toml, or a checkout of regrow",
            remedies=["regrow new NAME makes a project", "in a checkout: make setup, make deploy"],
        )
    if own.is_file():
        files.append((own, yaml.safe_load(own.read_text(encoding="utf-8"))))
    if root != shipped:
        made = read_environment().home.path / "deployments.yaml"
        made.parent.mkdir(parents=True, exist_ok=True)
        declared = declare_project(root, common)
        made.write_text(yaml.safe_dump(declared, sort_keys=False), encoding="utf-8")
        files.append((made, declared))
    sections = [
        common,
        *(declared for path, declared in files if path == own and own != common_file()),
    ]
    extras = [Extras.model_validate(section.get("regrow", {})) for section in sections]
    done = []
    check_server()
    with get_client(sync_client=True) as client:
        for pool in (pool for each in extras for pool in each.work_pools):
            _apply_pool(client, pool)
            done.append(f"work pool {pool.name} ({pool.type})")
            done += [f"work queue {pool.name}/{queue.name}" for queue in pool.queues]
        for values in (values for each in extras for values in each.automations):
            done.append(f"automation {_apply_automation(values).name}")
    for path, declared in files:
        _deploy_all(root, path)
        done += [
            f"deployment {one['entrypoint']} {one['name']} ({path.name})"
            for one in declared["deployments"]
        ]
    return done


def check_server() -> None:
    """Sends a request to the server of PREFECT_API_URL.

    Raises:
        UserError: no server is named, or it cannot be used.
    """
    use_kept_password()
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


def _apply_pool(client: SyncPrefectClient, pool: Pool) -> None:
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
        # Its type and job template are kept: they may have been changed (Docker, Kubernetes).
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


def _apply_automation(values: dict[str, Any]) -> Automation:
    """Creates it, or overwrites the automation with the same name."""
    automation = Automation.model_validate(values)
    try:
        known: Any = Automation.read(name=automation.name)
    except ValueError:
        automation.create()
    else:
        automation.id = known.id
        automation.update()
    return automation


def _deploy_all(root: Path, file: Path) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    command += ["--prefect-file", str(file)]
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PREFECT_LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(
            "Prefect did not create the deployments",
            where=" ".join(["prefect", *command[3:]]),
            received=(done.stdout + done.stderr).strip()[-2000:],
        )
