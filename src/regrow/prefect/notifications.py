"""Notifications from flows: to the webhook, and through a notification block of Prefect's."""

from __future__ import annotations

import os
from typing import Any

from prefect import Flow
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun, State

from regrow.pipeline.notifications import Notification, describe_failure, log_failure, send_webhook

BLOCK_VARIABLE = "REGROW_NOTIFY_BLOCK"


def notify(notification: Notification) -> None:
    """Sends a notification to every recipient that the environment names. Raises nothing."""
    send_webhook(notification)
    name = os.environ.get(BLOCK_VARIABLE)
    if name:
        with log_failure(f"the notification to {BLOCK_VARIABLE}"):
            _send_block(name, notification)


def notify_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Sends a notification that a flow failed: a hook of the flows that are not a model's own."""
    error = state.result(raise_on_failure=False)
    text = str(error) if isinstance(error, BaseException) else str(state.message)
    notify(describe_failure(flow.name, flow_run.name, text, flow_run=str(flow_run.id)))


def _send_block(name: str, notification: Notification) -> None:
    """Sends through a block such as "slack-webhook/ops" that is stored on the server.

    Raises:
        TypeError: the block is not a notification block.
    """
    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise TypeError(name)
    subject = f"regrow: {notification.event} of {notification.model}"
    _sent: Any = block.notify(notification.text, subject)  # synchronous outside async code
