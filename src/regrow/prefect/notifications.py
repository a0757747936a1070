"""Notifications from flows: to the webhook, and through a notification block of Prefect's."""

from __future__ import annotations

import os
from typing import Any

from prefect import Flow
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import flow_run as current_run
from prefect.utilities.urls import url_for

from regrow.pipeline.notifications import (
    BLOCK_VARIABLE,
    Notification,
    describe_failure,
    log_failure,
    send_webhook,
)
from regrow.prefect.own_server import OWN


def notify(notification: Notification) -> None:
    """Sends a notification to every recipient that the environment names. Raises nothing.

    Where it has no link, it gets that of the current run's page.
    """
    run_id = current_run.id
    if notification.link is None and run_id:
        notification = notification.model_copy(update={"link": link_run(run_id)})
    send_webhook(notification)
    with log_failure(f"the notification to {BLOCK_VARIABLE}"):
        send_to_block(notification)


def notify_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Sends a notification that a flow failed: a hook of the flows that are not a model's own."""
    error = state.result(raise_on_failure=False)
    text = str(error) if isinstance(error, BaseException) else str(state.message)
    run_id = str(flow_run.id)
    link = link_run(run_id)
    notify(describe_failure(flow.name, flow_run.name, text, link=link, flow_run=run_id))


def link_run(run_id: str) -> str | None:
    """The address of a run's page; None on the server of one command, which has no pages."""
    return None if os.environ.get(OWN) else url_for("flow-run", run_id)


def send_to_block(notification: Notification) -> None:
    """Sends through the block in REGROW_NOTIFY_BLOCK, such as "slack-webhook/ops", if it is set.

    Raises:
        TypeError: the block is not a notification block.
        ValueError: the server has no such block.
    """
    name = os.environ.get(BLOCK_VARIABLE)
    if not name:
        return
    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise TypeError(name)
    # Synchronous outside async code.
    _sent: Any = block.notify(notification.message, notification.subject)
