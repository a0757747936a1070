"""The flow `check-schedules`: notifies of schedules that have not succeeded within their interval.

A failed run is notified by itself. This finds what sends nothing: a worker that is not there, runs
that wait for ever, machines that were lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentSchedule, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.server.schemas.schedules import SCHEDULE_TYPES
from prefect.utilities.urls import url_for
from pydantic import TypeAdapter

from regrow.base.files import write_json
from regrow.base.home import Home
from regrow.base.project import list_models
from regrow.base.settings import read_environment
from regrow.pipeline.notifications import Notification
from regrow.prefect.notifications import notify, notify_failure

PAGE = 200
# So many runs ahead the longest interval of a schedule is looked for.
DATES_AHEAD = 8


@dataclass(frozen=True)
class Overdue:
    """A deployment whose schedule has not succeeded within its interval.

    Attributes:
        name: "flow/deployment".
        flow: the flow's name, which of a model's flow is that of the model.
        due: when the run was due that has not succeeded before the next one was due.
        last: the end of the last successful run, if there was one.
        link: the deployment's page.
    """

    name: str
    flow: str
    due: datetime
    last: datetime | None
    link: str | None

    def describe(self) -> Notification:
        """The notification."""
        last = f"the last success was at {self.last:%Y-%m-%d %H:%M} UTC" if self.last else ""
        command = f"regrow run {self.flow}" if self.flow in list_models() else None
        return Notification(
            event="overdue",
            text=f"{self.name} has not succeeded since the run of {self.due:%Y-%m-%d %H:%M} UTC "
            f"was due; {last or 'it has never succeeded'}",
            model=self.flow,
            command=command or f"prefect deployment inspect '{self.name}'",
            link=self.link,
            details={"deployment": self.name, "due": self.due.isoformat(timespec="seconds")},
        )


@flow(
    name="check-schedules",
    description="Sends a notification for each schedule that has not succeeded within its "
    "interval.",
    on_failure=[notify_failure],
)
def check_schedules() -> list[str]:
    """Sends one notification for each late schedule, until it succeeds again.

    Returns:
        The names of the deployments that are late.
    """
    return notify_overdue()


def notify_overdue() -> list[str]:
    """As the flow `check_schedules`, without a run."""
    with get_client(sync_client=True) as client:
        late = list(list_overdue(client, datetime.now(UTC)))
    notify_once(late, read_environment().home)
    return [one.name for one in late]


def notify_once(late: Sequence[Overdue], home: Home) -> None:
    """Notifies of late schedules, except of those that have not succeeded since it last did."""
    known = _read_known(home)
    for one in late:
        if known.get(one.name, "") != str(one.last):
            notify(one.describe())
    write_json(home.overdue, {one.name: str(one.last) for one in late})


def list_overdue(client: SyncPrefectClient, now: datetime) -> Iterator[Overdue]:
    """The deployments with an active schedule that has not succeeded within its interval."""
    offset = 0
    while page := client.read_deployments(limit=PAGE, offset=offset):
        offset += len(page)
        for deployment in page:
            if not deployment.paused and (found := _find_overdue(client, deployment, now)):
                yield found


def _find_overdue(
    client: SyncPrefectClient, deployment: DeploymentResponse, now: datetime
) -> Overdue | None:
    dues = [_find_due(schedule, now) for schedule in deployment.schedules if schedule.active]
    due = max((one for one in dues if one), default=None)
    if due is None:
        return None
    last = _last_success(client, deployment)
    if last is not None and last >= due:
        return None
    flow_name = client.read_flow(deployment.flow_id).name
    name = f"{flow_name}/{deployment.name}"
    return Overdue(name, flow_name, due, last, url_for("deployment", deployment.id))


def _find_due(schedule: DeploymentSchedule, now: datetime) -> datetime | None:
    """When the run before the last one was due; None if that was before the schedule was made."""
    adapter: TypeAdapter[SCHEDULE_TYPES] = TypeAdapter(SCHEDULE_TYPES)
    rule = adapter.validate_python(schedule.schedule.model_dump())
    ahead = asyncio.run(rule.get_dates(DATES_AHEAD, start=now))
    longest = max((b - a for a, b in pairwise(ahead)), default=timedelta())
    before = asyncio.run(rule.get_dates(10_000, start=now - 3 * longest, end=now))
    begun = schedule.updated or schedule.created
    if len(before) < 2 or begun is None or before[-2] < begun:
        return None
    return before[-2].astimezone(UTC)


def _last_success(client: SyncPrefectClient, deployment: DeploymentResponse) -> datetime | None:
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=1,
    )
    return runs[0].end_time if runs else None


def _read_known(home: Home) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(home.overdue.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known
