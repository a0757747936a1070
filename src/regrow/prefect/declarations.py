"""The deployments of a project that has only models: made from their specifications.

What holds for every project, such as pools and the automations that find dead runs, is read from
regrow's own prefect.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import prefect

from regrow.base.project import list_models, load_specs
from regrow.base.project_file import ProjectFile, read_project, shipped_project
from regrow.base.settings import read_environment
from regrow.base.spec import ModelSpec
from regrow.prefect.refresh import EVENT, resource_id
from regrow.sources.catalog import declared_sources
from regrow.sources.source import Source

FILE = "prefect.yaml"
FLOWS = "regrow.prefect.models"
# Name, entrypoint, description and cron of what is deployed beside the models; the first one only
# where sources may change. The deployments of models may start on the hour.
OPERATIONS: tuple[tuple[str, str, str, str], ...] = (
    (
        "hourly",
        "regrow.prefect.refresh.refresh",
        "Checks whether sources have changed, and starts the models that use them.",
        "30 * * * *",
    ),
    (
        "hourly",
        "regrow.prefect.schedules.check_schedules",
        "Sends a notification for each schedule that has not succeeded within its interval.",
        "45 * * * *",
    ),
    (
        "nightly",
        "regrow.prefect.gc.gc",
        "Removes unused results, downloads and reports.",
        "0 3 * * *",
    ),
)


def declare_project(root: Path, common: dict[str, Any]) -> dict[str, Any]:
    """What `prefect deploy` needs to know of a project's models, in the form of a prefect.yaml.

    Args:
        root: the project's folder.
        common: the contents of regrow's own prefect.yaml.

    Raises:
        UserError: a model cannot be loaded.
    """
    project, settings = read_project(root), read_environment()
    specs, errors = load_specs(list_models())
    for error in errors.values():
        raise error
    environment = dict(common["definitions"]["environment"]["env"])
    environment |= {"REGROW_PROJECT": str(root), "REGROW_HOME": str(settings.home.path)}
    declared = declared_sources(settings)
    pool = _pool("training", environment)
    deployments = [_declare_model(spec, project, declared, pool) for spec in specs]
    changing = any(declared[name].refresh for spec in specs for name in spec.sources)
    deployments += [
        _declare(
            *what,
            schedules=[{"cron": cron, "timezone": project.timezone}],
            collision="CANCEL_NEW",
            pool=_pool("data", environment),
        )
        for *what, cron in OPERATIONS[0 if changing else 1 :]
    ]
    step = "prefect.deployments.steps.set_working_directory"
    return {
        "name": root.name,
        "prefect-version": prefect.__version__,
        "pull": [{step: {"directory": str(root)}}],
        "deployments": deployments,
    }


def _declare_model(
    spec: ModelSpec, project: ProjectFile, declared: Mapping[str, Source], pool: dict[str, Any]
) -> dict[str, Any]:
    schedules = [{"cron": project.schedule, "timezone": project.timezone}]
    made = _declare(
        "daily" if project.schedule else "on-demand",
        f"{FLOWS}.{spec.name.replace('-', '_')}",
        f"Trains {spec.name} when its data, settings or code have changed.",
        schedules=schedules if project.schedule else [],
        collision="ENQUEUE",
        pool=pool,
    )
    return {**made, "triggers": [_trigger(spec, n) for n in spec.sources if declared[n].refresh]}


def _declare(
    name: str,
    entrypoint: str,
    description: str,
    *,
    schedules: list[dict[str, Any]],
    collision: str,
    pool: dict[str, Any],
) -> dict[str, Any]:
    return {
        "name": name,
        "entrypoint": entrypoint,
        "description": description,
        "parameters": {},
        "schedules": schedules,
        "concurrency_limit": {"limit": 1, "collision_strategy": collision},
        "work_pool": pool,
    }


def common_file() -> Path:
    """regrow's own prefect.yaml: in the checkout, or the copy in a wheel."""
    return shipped_project() / FILE


def _pool(queue: str, environment: dict[str, str]) -> dict[str, Any]:
    variables = {"env": dict(environment)}
    return {"name": "local", "work_queue_name": queue, "job_variables": variables}


def _trigger(spec: ModelSpec, source: str) -> dict[str, Any]:
    return {
        "type": "event",
        "name": f"{spec.name}-when-{source}-refreshed",
        "expect": [EVENT],
        "match": {"prefect.resource.id": resource_id(source)},
        "for_each": ["prefect.resource.id", "regrow.version"],
        "threshold": 1,
        "within": 3600,
        "parameters": {"versions": {source: "{{ event.payload.version }}"}},
    }
