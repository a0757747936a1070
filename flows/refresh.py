"""Looks at the sources, records new versions and tells the pipelines that use them, by events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import Event
from prefect.events.clients import get_events_client
from prefect.utilities.asyncutils import run_coro_as_sync

from regrow.engine.config import Settings, read_environment
from regrow.engine.errors import SourceError
from regrow.engine.progress import report
from regrow.engine.refresh import Look, list_refreshed, look_at, mark_announced, unannounced
from regrow.models import get_spec, list_models
from tasks.stages import may_pass

EVENT = "regrow.source.refreshed"


@task(
    name="look",
    task_run_name="look at {name}",
    description="Looks whether a source has changed upstream; downloads it only then.",
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=may_pass,
    timeout_seconds=3600,
    tags={"network"},
    cache_policy=NO_CACHE,
    persist_result=False,
)
def look(name: str) -> Look:
    """What was found."""
    return look_at(name, read_environment(), report)


@flow(
    name="refresh",
    description="Looks whether sources have changed upstream.",
    flow_run_name="look at the sources",
)
def refresh(sources: list[str] | None = None) -> list[Look]:
    """Looks at every source, and sends one event for each that has a new version.

    A source that cannot be looked at does not keep the others from it; the run fails in the end. An
    event that could not be sent is sent by the next run.

    Args:
        sources: only these; else all that are declared with `refresh = true`.
    """
    settings = read_environment()
    names = sources or list(list_refreshed(settings))
    looks: list[Look] = []
    failures: dict[str, str] = {}
    for name in names:
        found: Any = look(name, return_state=True).result(raise_on_failure=False)
        if isinstance(found, Look):
            looks.append(found)
        else:
            failures[name] = str(found)
    announce(settings, [look for look in unannounced(settings) if look.source in names])
    _show(looks, failures)
    if failures:
        raise SourceError("\n".join(failures.values()))
    return looks


def announce(settings: Settings, news: Sequence[Look]) -> None:
    """Sends the events, and remembers them as sent once the server has them.

    Two runs that were both killed in between would send the same event twice. That starts one
    run: the triggers count an event once for each source and version.
    """
    for new in news:
        run_coro_as_sync(send(describe(new)))
        mark_announced(settings, new.source, new.version)


def describe(new: Look) -> Event:
    """The event of one source's new version; `payload.version` is what pipelines are given."""
    users = [name for name in list_models() if new.source in get_spec(name).sources]
    return Event(
        event=EVENT,
        resource={
            "prefect.resource.id": f"regrow.source.{new.source}",
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
    """Sends one event; returns when the server has it, which takes a checkpoint for each."""
    async with get_events_client(checkpoint_every=1) as client:
        await client.emit(event)


def _show(looks: Sequence[Look], failures: dict[str, str]) -> None:
    rows = [
        {
            "source": look.source,
            "found": look.outcome,
            "version": look.version[:12],
            "before": look.previous[:12],
            "place": look.origin,
            "bytes read": look.downloaded_bytes,
        }
        for look in looks
    ]
    rows += [
        {"source": name, "found": "not looked at", "place": reason}
        for name, reason in failures.items()
    ]
    create_table_artifact(key="sources", table=rows, description="What was found upstream")
