"""How often a location is asked for a file, and how a failure to get it is described."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from regrow.base.settings import Settings

Result = TypeVar("Result")
FailureKind = Literal["absent", "unreachable", "refused", "changed", "corrupt"]


@dataclass(frozen=True)
class Retries:
    """How often one URL is requested, and how long to wait in between.

    Attributes:
        attempts: maximum number of requests while they fail for transient reasons.
        first_delay_s: the wait after the first failure. It doubles with each failure, and a random
            part of at most half of it is subtracted, so that many clients do not return at once.
        max_delay_s: the longest wait, also where a server asks for more by Retry-After.
        connect_timeout_s: how long a connection may take.
        read_timeout_s: how long a server may be silent.
        min_bytes_per_s: the least rate; a slower answer is ended.
        rate_window_s: the time over which the rate is measured.
        deadline_s: how long one URL may take, all attempts together.
    """

    attempts: int = 4
    first_delay_s: float = 0.5
    max_delay_s: float = 20.0
    connect_timeout_s: float = 6.0
    read_timeout_s: float = 30.0
    min_bytes_per_s: float = 1000.0
    rate_window_s: float = 60.0
    deadline_s: float = 3600.0

    def delay_s(self, failures: int, asked_s: float = 0.0) -> float:
        """The wait after this number of failures; `asked_s` is what the server asks for."""
        backoff_s = self.first_delay_s * 2.0 ** (failures - 1) * random.uniform(0.5, 1.0)
        return min(max(backoff_s, asked_s), self.max_delay_s)


DEFAULT_RETRIES = Retries()


def make_retries(settings: Settings, *, attempts: int = DEFAULT_RETRIES.attempts) -> Retries:
    """Retries with the limits that the environment sets."""
    return Retries(
        attempts=attempts,
        min_bytes_per_s=settings.download_min_bytes_per_s,
        deadline_s=settings.download_deadline_s,
    )


class LocationError(Exception):
    """A location did not provide the file.

    Attributes:
        kind: "absent" if the location answered that it has no such file, "changed" for another
            file that was served whole, "corrupt" for one that is cut short or differs each time,
            "unreachable" and "refused" for none.
        transient: whether a later attempt may succeed.
    """

    transient = False

    def __init__(self, reason: str, *, kind: FailureKind = "refused") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class TransientFailure(LocationError):
    """An attempt failed for a reason that may not last.

    Attributes:
        cut: whether a part of the file was received.
        asked_s: how long the server asks to wait.
        again: whether the attempt may be repeated at once.
    """

    transient = True

    def __init__(
        self,
        reason: str,
        *,
        kind: FailureKind = "unreachable",
        cut: bool = False,
        asked_s: float = 0.0,
        again: bool = True,
    ) -> None:
        super().__init__(reason, kind=kind)
        self.cut = cut
        self.asked_s = asked_s
        self.again = again


def retry(attempt: Callable[[], Result], retries: Retries) -> Result:
    """Repeats an attempt while it fails for a transient reason, with growing waits.

    Raises:
        TransientFailure: the last attempt failed as well.
        LocationError: an attempt failed for a reason that lasts.
    """
    for failures in range(1, retries.attempts):
        try:
            return attempt()
        except TransientFailure as failure:
            if not failure.again:
                raise
            time.sleep(retries.delay_s(failures, failure.asked_s))
    return attempt()
