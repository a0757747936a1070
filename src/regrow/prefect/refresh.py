"""The flow `refresh`: records new versions of the sources and announces them by events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import Event
from prefect.events.clients import get_events_client
from prefect.states import Failed
from prefect.utilities.asyncutils import run_coro_as_sync

from regrow.base.progress import report
from regrow.base.project import list_models, load_specs
from regrow.base.settings import Settings, read_environment
from regrow.prefect.notifications import notify_failure
from regrow.prefect.tasks import is_retryable
from regrow.sources.announcements import SourceCheck, list_unannounced, mark_announced
from regrow.sources.refresh import (
    check_source,
    describe_failure,
    explain_checks,
    list_refreshed,
)

EVENT = "regrow.source.refreshed"


def resource_id(source: str) -> str:
    """The resource of a source's events, which triggers match."""
    return f"regrow.source.{source}"


@task(
    name="check",
    task_run_name="check {name}",
    description="Checks whether a source has changed upstream, and downloads it only if it has.",
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=is_retryable,
    timeout_seconds=3600,
    tags={"network"},
    cache_policy=NO_CACHE,
    persist_result=False,
)
def check(name: str, allow_older: bool = False) -> SourceCheck:
    """Checks one source."""
    return check_source(name, read_environment(), report, allow_older=allow_older)


@flow(
    name="refresh",
    description="Checks whether sources have changed upstream.",
    flow_run_name="check the sources",
    on_failure=[notify_failure],
)
def refresh(
    sources: list[str] | None = None, allow_older: bool = False
) -> list[SourceCheck] | State[list[SourceCheck]]:
    """Checks every source, and sends one event for each that has a new version.

    A source that cannot be checked, or whose new version is not adopted, does not stop the others,
    but the run fails at its end. An event that could not be sent is sent by the next run.

    Args:
        sources: the sources to check; by default all that are declared with `refresh = true`.
        allow_older: whether a version that was in use before is adopted again.
    """
    settings = read_environment()
    names = sources or list_refreshed(settings)
    checks: list[SourceCheck] = []
    for name in names:
        found: Any = check(name, allow_older, return_state=True).result(raise_on_failure=False)
        checks.append(found if isinstance(found, SourceCheck) else describe_failure(name, found))
    announce(settings, [new for new in list_unannounced(settings) if new.source in names])
    _create_table(checks)
    error = explain_checks(checks)
    return checks if error is None else Failed(message=str(error), data=checks)


def announce(settings: Settings, news: Sequence[SourceCheck]) -> None:
    """Sends the events, and records each as sent once the server has it.

    A run that is killed in between leads to the same event twice. That starts one run only: the
    triggers count an event once for each source and version.
    """
    for new in news:
        run_coro_as_sync(send(describe(new)))
        mark_announced(settings, new.source, new.version)


def describe(new: SourceCheck) -> Event:
    """The event of a source's new version; triggers pass `payload.version` to the models' flows."""
    specs, _errors = load_specs(list_models())
    users = [spec.name for spec in specs if new.source in spec.sources]
    return Event(
        event=EVENT,
        resource={
            "prefect.resource.id": resource_id(new.source),
            "prefect.resource.name": new.source,
            "regrow.version": new.version,
        },
        payload={
            "source": new.source,
            "version": new.version,
            "previous": new.previous,
            "models": users,
        },
    )


async def send(event: Event) -> None:
    """Sends one event and returns when the server has it, hence a checkpoint for each."""
    async with get_events_client(checkpoint_every=1) as client:
        await client.emit(event)


def _create_table(checks: Sequence[SourceCheck]) -> None:
    rows = [
        {
            "source": one.source,
            "found": one.outcome,
            "version": one.version[:12],
            "before": one.previous[:12],
            "place": one.origin,
            "bytes read": one.downloaded_bytes,
            "why": one.reason,
        }
        for one in checks
    ]
    create_table_artifact(key="sources", table=rows, description="State of the upstream sources")
