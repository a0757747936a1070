"""Notices to people: that a run failed, that there is a new champion.

A notice that cannot be sent fails nothing, and neither its address nor any other secret is logged.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from regrow.engine.gate import Decision
from regrow.engine.secrets import hide_secrets

log = logging.getLogger(__name__)

URL_VARIABLE = "REGROW_NOTIFY_URL"
TIMEOUT_S = 5.0
# These log addresses, which hold tokens.
TALKATIVE = ("httpx", "httpcore", "urllib3", "apprise")


class Notice(BaseModel):
    """What is posted, as JSON.

    Attributes:
        event: what happened.
        text: all of it for a person; what chat services such as Slack and Mattermost show.
        model: the model's or registered model's name; for other flows the flow's.
        details: figures, versions and addresses, by name.
    """

    model_config = ConfigDict(frozen=True)

    event: Literal["failure", "champion"]
    text: str
    model: str
    details: dict[str, Any] = {}


Notify = Callable[[Notice], None]


def notice_failure(model: str, what: str, error: str, **details: Any) -> Notice:
    """That a run failed, and by what."""
    text = f"{what} failed\n{hide_secrets(error)}"
    return Notice(event="failure", text=text, model=model, details=details)


def notice_champion(decision: Decision, **details: Any) -> Notice:
    """That another version is the champion."""
    details |= {
        "action": decision.action,
        "version": decision.version,
        "champion_before": decision.champion_before,
        "metric": decision.metric,
        "value": decision.challenger,
        "data_version": decision.data_version,
    }
    text = f"{decision.model} has a new champion: {decision.reason}"
    return Notice(event="champion", text=text, model=decision.model, details=details)


def send_webhook(notice: Notice) -> None:
    """Posts a notice to the address in REGROW_NOTIFY_URL, if there is one. Raises nothing."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        with survive("the notice to " + URL_VARIABLE):
            _post(url, notice)


@contextmanager
def survive(what: str) -> Iterator[None]:
    """Logs that something could not be sent, in words that hold no address, and goes on."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    except Exception as error:  # the run's result does not depend on who hears of it
        reason = str(error) if isinstance(error, Refused) else type(error).__name__
        log.warning("%s could not be sent: %s", what, reason)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class Refused(Exception):
    """The other side answered, and not with yes. The message names no address."""


def _post(url: str, notice: Notice) -> None:
    import httpx

    body = notice.model_dump(mode="json")
    # The answer's body is not read: it may have no end.
    with httpx.stream("POST", url, json=body, timeout=TIMEOUT_S) as response:
        if not response.is_success:
            raise Refused(f"the other side answered {response.status_code}")
