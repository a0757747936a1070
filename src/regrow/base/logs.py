"""Logs: lines of JSON in files below the home, and lines on standard error as text or JSON.

A line says which run, model and stage it belongs to. Files are rotated when a process starts to
log: every run has a process of its own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import pairwise
from logging.handlers import WatchedFileHandler
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from regrow.base.errors import LockTimeout, UserError
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.secrets import hide_secrets

LEVEL_VARIABLE = "REGROW_LOG_LEVEL"
FORMAT_VARIABLE = "REGROW_LOG_FORMAT"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FILE = "regrow.log"
MAX_FILE_BYTES = 5 * 2**20
OLD_FILES = 4

_context: ContextVar[Mapping[str, str]] = ContextVar(
    "regrow_log_context", default=MappingProxyType({})
)


@contextmanager
def log_context(**names: str | None) -> Iterator[None]:
    """Adds names, such as run, model and stage, to the lines that are logged in the block."""
    known = {name: value for name, value in names.items() if value is not None}
    token = _context.set({**_context.get(), **known})
    try:
        yield
    finally:
        _context.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, run, model, stage, message, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        names = _context.get()
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **{name: names.get(name) for name in ("run", "model", "stage")},
            "pid": record.process,
            "message": hide_secrets(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = hide_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether the command does not tell it in its own words."""
    return not getattr(record, "told", False)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time: a progress bar replaces it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def logs_json() -> bool:
    """Whether standard error gets JSON lines."""
    return os.environ.get(FORMAT_VARIABLE) == "json"


def chosen_level() -> str | None:
    """The level that the user has chosen.

    Raises:
        UserError: there is no such level.
    """
    found = os.environ.get(LEVEL_VARIABLE)
    if found and found.upper() not in LEVELS:
        raise _wrong(LEVEL_VARIABLE, found, ", ".join(LEVELS))
    return found.upper() if found else None


def _wrong(name: str, received: str, expected: str) -> UserError:
    what = "the log setting is not valid"
    where = f"the environment variable {name}"
    return UserError(what, where=where, received=received, expected=expected)


def log_to_terminal() -> None:
    """Shows warnings of regrow on standard error; more or less by REGROW_LOG_LEVEL.

    As JSON, all that the file gets is shown.

    Raises:
        UserError: a variable has a value that cannot be used.
    """
    as_json, level = logs_json(), chosen_level()
    if (found := os.environ.get(FORMAT_VARIABLE) or "text") not in ("text", "json"):
        raise _wrong(FORMAT_VARIABLE, found, "text or json")
    handler = _StandardError()
    handler.setFormatter(JsonLines() if as_json else _TextLines())
    handler.setLevel(level or ("INFO" if as_json else "WARNING"))
    if not as_json:
        handler.addFilter(_is_news)
    _replace(handler, "regrow terminal")


def log_to_file(home: Home) -> None:
    """Adds lines to the log file of a home, from INFO on or by REGROW_LOG_LEVEL.

    Raises:
        UserError: a variable has a value that cannot be used.
    """
    level = chosen_level() or "INFO"
    path = home.logs / FILE
    try:
        home.logs.mkdir(parents=True, exist_ok=True)
        with suppress(LockTimeout), exclusive(home.lock("logs"), timeout_s=1):
            _rotate(path)
        handler = WatchedFileHandler(path, encoding="utf-8")
    except OSError:  # the home is read-only, or its disk is full: the run itself reports it
        return
    handler.setFormatter(JsonLines())
    handler.setLevel(level)
    _replace(handler, "regrow file")


def _rotate(path: Path) -> None:
    """Renames a file that is full: regrow.log to regrow.log.1, and so on."""
    if not path.is_file() or path.stat().st_size < MAX_FILE_BYTES:
        return
    names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, OLD_FILES + 1))]
    for source, target in reversed(list(pairwise(names))):
        if source.is_file():
            source.replace(target)


def _replace(handler: logging.Handler, name: str) -> None:
    """Adds a handler to regrow's logger, in place of an earlier one of the same name."""
    logger = logging.getLogger("regrow")
    handler.set_name(name)
    for known in [each for each in logger.handlers if each.get_name() == name]:
        logger.removeHandler(known)
        known.close()
    logger.addHandler(handler)
    logger.setLevel(min(each.level for each in logger.handlers))
