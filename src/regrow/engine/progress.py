"""Where progress goes: nowhere by default, to a bar or a log where the caller says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from regrow.engine.spec import Progress


def ignore(_what: str, _done: int, _total: int) -> None:
    """Reports nothing."""


_reporter: ContextVar[Progress] = ContextVar("regrow_progress", default=ignore)


def report(what: str, done: int, total: int) -> None:
    """Hands progress to the reporter of the current context."""
    _reporter.get()(what, done, total)


def current_reporter() -> Progress:
    """The reporter of the current context."""
    return _reporter.get()


@contextmanager
def reporting_to(reporter: Progress) -> Iterator[None]:
    """Sends the progress of everything inside to `reporter`."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)
