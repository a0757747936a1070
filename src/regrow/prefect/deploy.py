"""Creates a project's pools, queues, automations and deployments on a server.

regrow's own are those of its prefect.yaml. Those of another project are made from its models, and
from its own prefect.yaml, if it has one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
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


def deploy(*, schedules: bool = True) -> list[str]:
    """Creates or updates everything, without questions. A second time changes nothing.

    Args:
        schedules: whether schedules are active; triggers always are.

    Returns:
        A line for each thing that exists now.

    Raises:
        UserError: there is nothing to deploy, no server is named, it cannot be reached, or Prefect
            refuses a deployment.
    """
    root = find_project()
    own = root / FILE
    common = _read_yaml(common_file())
    files = _list_files(root, common)
    # This repository's own file is the common one.
    is_separate = own != common_file()
    sections = [common, *(found for path, found in files if is_separate and path == own)]
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
        _deploy_all(root, path if schedules else _pause(path, declared))
        done += [
            f"deployment {one['entrypoint']} {one['name']} ({path.name})"
            for one in declared["deployments"]
        ]
    every = [one for _, declared in files for one in declared["deployments"]]
    return done + describe_schedules(every, active=schedules)


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def _list_files(root: Path, common: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """The files to deploy with their contents: a project's own, and one made from its models.

    Raises:
        UserError: there is neither.
    """
    import yaml

    shipped, own = shipped_project(), root / FILE
    if root == shipped and not (root / "flows").is_dir():
        raise UserError(
            "there is nothing to deploy: regrow's own models must be deployed from a checkout",
            where=str(Path.cwd()),
            received="no project",
            expected="a folder with a regrow.toml, or a checkout of regrow",
            remedies=[
                "regrow new NAME creates a project",
                "in a checkout, run make setup and make deploy",
            ],
        )
    files = [(own, _read_yaml(own))] if own.is_file() else []
    if root != shipped:
        made = read_environment().home.path / "deployments.yaml"
        made.parent.mkdir(parents=True, exist_ok=True)
        declared = declare_project(root, common)
        made.write_text(yaml.safe_dump(declared, sort_keys=False), encoding="utf-8")
        files.append((made, declared))
    return files


def describe_schedules(deployments: Sequence[Mapping[str, Any]], *, active: bool) -> list[str]:
    """What is scheduled, a line for each time of the day."""
    names: dict[str, list[str]] = {}
    for one in deployments:
        name = one["entrypoint"].replace(":", ".").rpartition(".")[2].replace("_", "-")
        for schedule in one.get("schedules") or ():
            names.setdefault(_describe_schedule(schedule), []).append(name)
    state = "schedule" if active else "paused schedule"
    return [f"{state}, {when}: {', '.join(names[when])}" for when in sorted(names)]


def _describe_schedule(schedule: Mapping[str, Any]) -> str:
    zone = schedule.get("timezone", "UTC")
    found = re.fullmatch(r"(\d+) (\d+|\*) \* \* \*", schedule.get("cron", ""))
    if found is None:
        return f"{schedule.get('cron') or schedule.get('rrule') or schedule.get('interval')} {zone}"
    minute, hour = found.groups()
    if hour == "*":
        return f"every hour at minute {minute}"
    return f"every day at {int(hour):02}:{int(minute):02} {zone}"


def _pause(path: Path, declared: dict[str, Any]) -> Path:
    """A copy of a file of deployments in which all schedules are paused."""
    import yaml

    copy: dict[str, Any] = json.loads(json.dumps(declared))
    for one in copy["deployments"]:
        for schedule in one.get("schedules") or ():
            schedule["active"] = False
    paused = read_environment().home.path / f"paused-{path.name}"
    paused.parent.mkdir(parents=True, exist_ok=True)
    paused.write_text(yaml.safe_dump(copy, sort_keys=False), encoding="utf-8")
    return paused


def check_server() -> None:
    """Sends a request to the server of PREFECT_API_URL.

    Raises:
        UserError: no server is named, or it cannot be used.
    """
    use_kept_password()
    url = get_current_settings().api.url
    remedies = [
        "make ui starts a server on this machine",
        "export PREFECT_API_URL=http://127.0.0.1:4200/api",
        "if the server has a password, also set PREFECT_API_AUTH_STRING",
    ]
    if not url:
        raise UserError(
            "no Prefect server is configured",
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
