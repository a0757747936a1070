"""How the command line runs flows: in its own process, with their runs on a Prefect server.

The server is that of `regrow.prefect.session.use_server`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)
from prefect.states import Cancelled
from prefect.utilities.urls import url_for

from regrow.base.interruption import last_words
from regrow.base.project import get_spec
from regrow.pipeline.request import RunRequest
from regrow.pipeline.stages import Stage, StageRef
from regrow.prefect.deploy import check_server
from regrow.prefect.flows import make_flow

log = logging.getLogger(__name__)

# As in the deployments: the automation for dead runs expects one every few minutes.
HEARTBEAT_INTERVAL_S = 30


def run_request(
    request: RunRequest, on: Mapping[str, str]
) -> tuple[dict[Stage, StageRef], str | None]:
    """Runs a model's flow for a request; returns its stages, and the page of the run in Prefect.

    Args:
        request: what to run.
        on: by stage, the work pools that run it, such as {"train": "gpu,here"}.

    Raises:
        UserError: the server cannot be used, or the run failed for a reason that a user can fix.
    """
    started: list[UUID] = []
    parameters = request.model_dump(mode="json", exclude={"model", "trial"})
    refs: dict[Stage, StageRef] = _run(
        make_flow(get_spec(request.model)), started, (), {**parameters, "on": dict(on)}
    )
    return refs, url_for("flow-run", obj_id=started[0])


def run_flow(flow: Flow[..., Any], *args: Any, **parameters: Any) -> Any:
    """Calls a flow; see `run_request`. With `return_state=True` returns its final state."""
    return _run(flow, [], args, parameters)


def _run(
    flow: Flow[..., Any], started: list[UUID], args: Sequence[Any], parameters: Mapping[str, Any]
) -> Any:
    """Calls a flow, and appends the id of its run to `started`."""
    settings = get_current_settings()
    if settings.api.url:
        check_server()
    chosen = "heartbeat_frequency" in settings.flows.model_fields_set
    interval = {} if chosen else {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: HEARTBEAT_INTERVAL_S}

    def remember(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
        started.append(flow_run.id)

    watched = flow.with_options(on_running=[*flow.on_running_hooks, remember])
    with temporary_settings(interval):
        cancel = partial(copy_context().run, partial(_cancel, started))
        try:
            with last_words(cancel):
                return watched(*args, **parameters)
        except KeyboardInterrupt:
            cancel()
            raise


def _cancel(started: list[UUID]) -> None:
    """Reports the run and its task as cancelled, whatever the engine has reported."""
    interrupted: State[Any] = Cancelled(message="Interrupted by the user.")
    for run_id in started[:1]:
        try:
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(run_id, interrupted, force=True)
                only = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
                for task_run in client.read_task_runs(flow_run_filter=only):
                    if task_run.state is None or not task_run.state.is_final():
                        client.set_task_run_state(task_run.id, interrupted, force=True)
        except Exception as error:  # the run has ended all the same
            log.debug("cannot report the interruption: %s", error)
