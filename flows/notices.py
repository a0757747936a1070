"""Notices of flows: to the webhook, and to a notification block of Prefect's."""

from __future__ import annotations

import os
from typing import Any

from prefect import Flow
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun, State

from regrow.engine.notify import Notice, notice_failure, send_webhook, survive

BLOCK_VARIABLE = "REGROW_NOTIFY_BLOCK"


def notify(notice: Notice) -> None:
    """Sends a notice wherever the environment names somebody. Raises nothing."""
    send_webhook(notice)
    name = os.environ.get(BLOCK_VARIABLE)
    if name:
        with survive(f"the notice to {BLOCK_VARIABLE}"):
            _send_block(name, notice)


def tell_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Sends a notice that a flow failed: a hook of flows other than a model's, which do it."""
    error = state.result(raise_on_failure=False)
    text = str(error) if isinstance(error, BaseException) else str(state.message)
    notify(notice_failure(flow.name, flow_run.name, text, flow_run=str(flow_run.id)))


def _send_block(name: str, notice: Notice) -> None:
    """Sends by a block such as "slack-webhook/ops", saved on the server or in its UI.

    Raises:
        TypeError: it is a block of another kind.
    """
    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise TypeError(name)
    subject = f"regrow: {notice.event} of {notice.model}"
    _sent: Any = block.notify(notice.text, subject)  # done when it returns, outside async code
