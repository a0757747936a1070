"""Notifications that a run failed, that a model has a new champion, or that its champion is old.

REGROW_NOTIFY_URL is a web address, which gets JSON, or an address of one of the services that
Apprise knows (mailto://, slack://, tgram://, ...). A notification that cannot be sent does not fail
the run, and neither the address nor any other secret is logged.
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
from regrow.registry.names import ChampionRef

log = logging.getLogger(__name__)

URL_VARIABLE = "REGROW_NOTIFY_URL"
# The name of a notification block of the Prefect server.
BLOCK_VARIABLE = "REGROW_NOTIFY_BLOCK"
TIMEOUT_S = 5.0
# Libraries that log addresses, which contain tokens.
LOGGERS_WITH_ADDRESSES = ("httpx", "httpcore", "urllib3", "apprise")


class Notification(BaseModel):
    """What happened, and what to do about it.

    Attributes:
        event: what happened; "overdue" is a schedule without a success within its interval.
        text: what happened, in words.
        model: the name of the model or registered model; for other flows the name of the flow.
        stage: the stage that failed.
        error: why it failed.
        command: the command to continue with.
        link: a page that has more.
        details: figures, versions and addresses, by name.
    """

    model_config = ConfigDict(frozen=True)

    event: Literal["failure", "champion", "held", "stale", "overdue", "test"]
    text: str
    model: str
    stage: str | None = None
    error: str | None = None
    command: str | None = None
    link: str | None = None
    details: dict[str, Any] = {}

    @property
    def subject(self) -> str:
        """One line, for services that show a title."""
        return f"regrow: {self.event} of {self.model}"

    @property
    def message(self) -> str:
        """The whole message for a person."""
        command = f"next: {self.command}" if self.command else None
        return "\n".join(line for line in (self.text, command, self.link) if line)

    def body(self) -> dict[str, Any]:
        """What is posted as JSON; chat services such as Slack and Mattermost show its "text"."""
        return self.model_dump(mode="json") | {"text": self.message}


Notify = Callable[[Notification], None]


def describe_failure(
    model: str,
    what: str,
    error: str,
    *,
    stage: str | None = None,
    command: str | None = None,
    link: str | None = None,
    **details: Any,
) -> Notification:
    """The notification that a run failed, with its error."""
    error = hide_secrets(error)
    return Notification(
        event="failure",
        text=f"{what} failed\n{error}",
        model=model,
        stage=stage,
        error=error,
        command=command,
        link=link,
        details=details,
    )


def describe_decision(
    decision: Decision, *, link: str | None = None, **details: Any
) -> Notification:
    """The notification that another version is the champion, or that one waits for approval."""
    details |= {
        "action": decision.action,
        "version": decision.version,
        "champion_before": decision.champion_before,
        "metric": decision.metric,
        "value": decision.challenger,
        "data_version": decision.data_version,
    }
    is_held = decision.action == "held"
    says = "" if is_held else " has a new champion"
    return Notification(
        event="held" if is_held else "champion",
        text=f"{decision.model}{says}: {decision.reason}",
        model=decision.model,
        command=f"regrow status {ChampionRef.parse(decision.model).model}",
        link=link,
        details=details,
    )


def describe_age(registered: str, remark: str, **details: Any) -> Notification:
    """The notification that a champion should have been trained again by now."""
    return Notification(
        event="stale",
        text=remark,
        model=registered,
        command=f"regrow run {ChampionRef.parse(registered).model}",
        details=details,
    )


def send_webhook(notification: Notification) -> None:
    """Sends a notification to the address in REGROW_NOTIFY_URL, if it is set. Raises nothing."""
    with log_failure("the notification to " + URL_VARIABLE):
        send_to_url(notification)


def send_to_url(notification: Notification) -> None:
    """Sends a notification to the address in REGROW_NOTIFY_URL, if it is set.

    Raises:
        NotificationRejected: the address is none that Apprise knows, or the receiver refused it.
        httpx.HTTPError: the web address did not answer.
    """
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return
    if url.lower().startswith(("http://", "https://")):
        _post(url, notification)
    else:
        _send_by_apprise(url, notification)


@contextmanager
def log_failure(what: str) -> Iterator[None]:
    """Logs an error of the block in words that contain no address, and continues after it."""
    try:
        with hide_addresses():
            yield
    except Exception as error:  # the run's result does not depend on its notifications
        reason = str(error) if isinstance(error, NotificationRejected) else type(error).__name__
        log.warning("%s could not be sent: %s", what, reason)


@contextmanager
def hide_addresses() -> Iterator[None]:
    """Keeps the log lines of libraries that contain addresses out of every log."""
    loggers = [logging.getLogger(name) for name in LOGGERS_WITH_ADDRESSES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class NotificationRejected(Exception):
    """The notification was not taken. The message contains no address."""


def _post(url: str, notification: Notification) -> None:
    import httpx

    body = notification.body()
    # The response's body is not read: it may be endless.
    with httpx.stream("POST", url, json=body, timeout=TIMEOUT_S) as response:
        if not response.is_success:
            raise NotificationRejected(f"the recipient responded with {response.status_code}")


def _send_by_apprise(url: str, notification: Notification) -> None:
    import apprise

    service = apprise.Apprise()
    if not service.add(url):
        raise NotificationRejected("it is not a URL that Apprise supports")
    bad = notification.event in ("failure", "overdue")
    sent = service.notify(
        title=notification.subject,
        body=notification.message,
        notify_type=apprise.NotifyType.WARNING if bad else apprise.NotifyType.INFO,
    )
    if not sent:
        raise NotificationRejected("the service did not accept it")
