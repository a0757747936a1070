"""Notifications that a run failed, that a model has a new champion, or that its champion is old.

A notification that cannot be sent does not fail the run, and neither the address nor any other
secret is logged.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from regrow.base.decision import Decision
from regrow.base.secrets import hide_secrets

log = logging.getLogger(__name__)

URL_VARIABLE = "REGROW_NOTIFY_URL"
TIMEOUT_S = 5.0
# Libraries that log addresses, which contain tokens.
LOGGERS_WITH_ADDRESSES = ("httpx", "httpcore", "urllib3", "apprise")


class Notification(BaseModel):
    """What is posted, as JSON.

    Attributes:
        event: what happened.
        text: the whole message for a person; chat services such as Slack and Mattermost show it.
        model: the name of the model or registered model; for other flows the name of the flow.
        details: figures, versions and addresses, by name.
    """

    model_config = ConfigDict(frozen=True)

    event: Literal["failure", "champion", "held", "stale"]
    text: str
    model: str
    details: dict[str, Any] = {}


Notify = Callable[[Notification], None]


def describe_failure(model: str, what: str, error: str, **details: Any) -> Notification:
    """The notification that a run failed, with its error."""
    text = f"{what} failed\n{hide_secrets(error)}"
    return Notification(event="failure", text=text, model=model, details=details)


def describe_decision(decision: Decision, **details: Any) -> Notification:
    """The notification that another version is the champion, or that one waits for approval."""
    details |= {
        "action": decision.action,
        "version": decision.version,
        "champion_before": decision.champion_before,
        "metric": decision.metric,
        "value": decision.challenger,
        "data_version": decision.data_version,
    }
    if decision.action == "held":
        text = f"{decision.model}: {decision.reason}"
        return Notification(event="held", text=text, model=decision.model, details=details)
    text = f"{decision.model} has a new champion: {decision.reason}"
    return Notification(event="champion", text=text, model=decision.model, details=details)


def describe_age(registered: str, remark: str, **details: Any) -> Notification:
    """The notification that a champion should have been trained again by now."""
    return Notification(event="stale", text=remark, model=registered, details=details)


def send_webhook(notification: Notification) -> None:
    """Posts a notification to the address in REGROW_NOTIFY_URL, if it is set. Raises nothing."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        with log_failure("the notification to " + URL_VARIABLE):
            _post(url, notification)


@contextmanager
def log_failure(what: str) -> Iterator[None]:
    """Logs an error of the block in words that contain no address, and continues after it."""
    loggers = [logging.getLogger(name) for name in LOGGERS_WITH_ADDRESSES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    except Exception as error:  # the run's result does not depend on its notifications
        reason = str(error) if isinstance(error, NotificationRejected) else type(error).__name__
        log.warning("%s could not be sent: %s", what, reason)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class NotificationRejected(Exception):
    """The receiver answered with an error. The message contains no address."""


def _post(url: str, notification: Notification) -> None:
    import httpx

    body = notification.model_dump(mode="json")
    # The response's body is not read: it may be endless.
    with httpx.stream("POST", url, json=body, timeout=TIMEOUT_S) as response:
        if not response.is_success:
            raise NotificationRejected(f"the receiver answered {response.status_code}")
