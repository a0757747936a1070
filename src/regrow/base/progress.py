"""Where progress goes: nowhere by default, to a bar or a log where the caller says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` while a stage works; total 0 when it is not known."""

ShowPicture = Callable[[str, Path], None]
"""Called as `show(what, path)` with a picture of the work so far."""

WatchEpoch = Callable[[Path | None, int, Mapping[str, float]], None]
"""Called as `watch(checkpoint, epochs_done, values)` after each epoch of a training."""

Note = Callable[[str], None]
"""Called with a line of text on what has happened."""


def ignore(_what: str, _done: int, _total: int) -> None:
    """Reports nothing."""


def look_away(_what: str, _picture: Path) -> None:
    """Shows nothing."""


def pass_over(_checkpoint: Path | None, _epoch: int, _values: Mapping[str, float]) -> None:
    """Watches nothing."""


def stay_silent(_text: str) -> None:
    """Notes nothing."""


_reporter: ContextVar[Progress] = ContextVar("regrow_progress", default=ignore)
_viewer: ContextVar[ShowPicture] = ContextVar("regrow_preview", default=look_away)
_watcher: ContextVar[WatchEpoch] = ContextVar("regrow_epochs", default=pass_over)
_noter: ContextVar[Note] = ContextVar("regrow_notes", default=stay_silent)


def report(what: str, done: int, total: int) -> None:
    """Hands progress to the reporter of the current context."""
    _reporter.get()(what, done, total)


def show(what: str, picture: Path) -> None:
    """Hands a preview to the viewer of the current context."""
    _viewer.get()(what, picture)


def end_epoch(checkpoint: Path | None, epoch: int, values: Mapping[str, float]) -> None:
    """Hands the figures of an epoch to the watcher of the current context."""
    _watcher.get()(checkpoint, epoch, values)


def note(text: str) -> None:
    """Hands a line on what has happened to whoever shows the progress of the current context."""
    _noter.get()(text)


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


@contextmanager
def watching_epochs(watcher: WatchEpoch) -> Iterator[None]:
    """Sends the figures of every epoch inside to `watcher`."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def noting_to(noter: Note) -> Iterator[None]:
    """Sends the notes of everything inside to `noter`."""
    token = _noter.set(noter)
    try:
        yield
    finally:
        _noter.reset(token)
