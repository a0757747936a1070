"""A stage's progress as a Prefect artifact: a bar on the run's page."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from regrow.engine.progress import current_reporter, reporting_to

log = logging.getLogger(__name__)

# What ends sooner needs no bar, and the server is not told more often.
FIRST_S = 10.0
EVERY_S = 5.0


class ProgressBar:
    """Passes progress on to who asked for it before, and shows that of long work on the server."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.artifact: UUID | None = None
        self.told_at = time.monotonic() + FIRST_S - EVERY_S
        self.before = current_reporter()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Takes progress, as `regrow.engine.progress.report` hands it on."""
        self.before(what, done, total)
        now = time.monotonic()
        if total <= 0 or now - self.told_at < EVERY_S:
            return
        self.told_at = now
        self._show(100.0 * min(done, total) / total, what)

    def finish(self) -> None:
        """Fills the bar, if there is one."""
        if self.artifact is not None:
            self._show(100.0, "done")

    def _show(self, percent: float, what: str) -> None:
        try:
            if self.artifact is None:
                made: Any = create_progress_artifact(percent, key=self.key, description=what)
                self.artifact = made
            else:
                update_progress_artifact(self.artifact, percent, description=what)
        except Exception as error:  # no training shall end because a bar could not be drawn
            log.debug("progress of %s not shown: %s", self.key, error)


@contextmanager
def progress_bar(key: str) -> Iterator[None]:
    """Shows the progress of what is done inside."""
    bar = ProgressBar(key)
    with reporting_to(bar):
        yield
    bar.finish()
