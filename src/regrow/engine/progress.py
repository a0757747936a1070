"""Where progress goes: nowhere by default, to a bar or a log where the caller says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from regrow.engine.spec import Progress

ShowPicture = Callable[[str, Path], None]
"""Called as `show(what, path)` with a picture of the work so far."""


def ignore(_what: str, _done: int, _total: int) -> None:
    """Reports nothing."""


def look_away(_what: str, _picture: Path) -> None:
    """Shows nothing."""


_reporter: ContextVar[Progress] = ContextVar("regrow_progress", default=ignore)
_viewer: ContextVar[ShowPicture] = ContextVar("regrow_preview", default=look_away)


def report(what: str, done: int, total: int) -> None:
    """Hands progress to the reporter of the current context."""
    _reporter.get()(what, done, total)


def show(what: str, picture: Path) -> None:
    """Hands a preview to the viewer of the current context."""
    _viewer.get()(what, picture)


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


@contextmanager
def showing_to(viewer: ShowPicture) -> Iterator[None]:
    """Sends the previews of everything inside to `viewer`."""
    token = _viewer.set(viewer)
    try:
        yield
    finally:
        _viewer.reset(token)
