"""Errors that a person reads: what is wrong, where, received, expected, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.secrets import hide_secrets

if TYPE_CHECKING:
    from pydantic import ValidationError

# However many values are wrong, a person reads the first ones.
MAX_LINES, MAX_CHARACTERS = 40, 2000


class RegrowError(Exception):
    """Base class of every error that regrow raises on purpose."""


class UserError(RegrowError):
    """Something that the user can put right; printed without a traceback, exit code 2.

    Args:
        what: one sentence that says what is wrong.
        where: the file and line, column, URL or setting concerned.
        received: what was found there.
        expected: what should have been there.
        remedies: what to do next, the likeliest first.
    """

    exit_code = 2
    transient = False  # whether a later attempt may succeed

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        received: str | None = None,
        expected: str | None = None,
        remedies: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.received = received
        self.expected = expected
        self.remedies = tuple(remedies)

    def fields(self) -> dict[str, Any]:
        """What `UserError` is made from, as JSON, so that another process can raise it.

        Long texts are shortened as they are on a terminal.
        """
        found = {
            "what": self.what,
            "where": self.where,
            "received": self.received,
            "expected": self.expected,
        }
        hidden = {
            name: None if value is None else hide_secrets(_shorten(str(value)))
            for name, value in found.items()
        }
        return {**hidden, "remedies": [hide_secrets(str(one)) for one in self.remedies]}

    def __str__(self) -> str:
        lines = [self.what]
        for label, text in (
            ("where", self.where),
            ("received", self.received),
            ("expected", self.expected),
        ):
            if text is not None:
                indented = _shorten(text).replace("\n", "\n" + " " * 12)
                lines.append(f"  {label + ':':<10}{indented}")
        if self.remedies:
            lines.append("  what to do next:")
            lines.extend(f"    {n}. {remedy}" for n, remedy in enumerate(self.remedies, 1))
        return hide_secrets("\n".join(lines))


def shorten_list(items: Iterable[object], most: int = 8) -> str:
    """The first items of a list in a sentence, and how many more there are."""
    listed = [str(item)[: MAX_CHARACTERS // most] for item in items]
    rest = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "nothing") + rest


@contextmanager
def explain_refusal(what: str, path: Path, *, remedies: Sequence[str] = ()) -> Iterator[None]:
    """Turns what the operating system refuses while the block lasts into a `UserError`.

    Args:
        what: one sentence that says what is wrong.
        path: what the error is about, unless it names a file itself.
        remedies: what to do next.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            what,
            where=str(error.filename or path),
            received=error.strerror or str(error),
            remedies=remedies,
        ) from error


def list_problems(error: ValidationError, whole: str = "the file") -> str:
    """What pydantic objects to, a line for each field.

    Args:
        whole: names what was read, where no single field is wrong.
    """
    return "\n".join(
        f"{'.'.join(map(str, item['loc'])) or whole}: {item['msg']}" for item in error.errors()
    )


def _shorten(text: str) -> str:
    lines = text.splitlines()
    kept = [line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}…" for line in lines]
    if len(kept) > MAX_LINES + 1:  # the last one counts the others, and is kept the next time
        kept = [*kept[:MAX_LINES], f"… and {len(kept) - MAX_LINES:,} lines more"]
    return "\n".join(kept)


class DataError(UserError):
    """Data that cannot be used as it is. Trying again gives the same, so it is never retried."""


class SourceError(UserError):
    """No place gave a source's file.

    Args:
        transient: whether a later attempt may succeed (a time-out, a refused connection, a 5xx).
        absent: whether every place answered that it has no such file.
        optional: whether the model can do without this source.
    """

    def __init__(
        self,
        what: str,
        *,
        transient: bool = False,
        absent: bool = False,
        optional: bool = False,
        **fields: object,
    ) -> None:
        super().__init__(what, **fields)  # type: ignore[arg-type]
        self.transient = transient
        self.absent = absent
        self.optional = optional


class Unreachable(UserError):
    """A service that is needed does not answer, or refuses; worth another try."""

    transient = True


class OutOfMemory(UserError):
    """The machine ran out of memory; a retry may succeed."""

    transient = True


class TrainingDiverged(UserError):
    """The loss became NaN or infinite."""

    def __init__(self, what: str, **fields: Any) -> None:
        super().__init__(what, **fields)
        keras: Any = sys.modules.get("keras")
        if keras is not None and keras.config.floatx() == "float16":
            self.remedies = ("set floatx to float32 in keras.json", *self.remedies)


class LockTimeout(RegrowError):
    """Another run holds a lock for longer than this one may wait; worth another try."""


class ProcessDied(Exception):
    """A process that did the work was killed: by a person, or for want of memory."""


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: network and lock errors, dead processes, never bad data."""
    if isinstance(error, UserError):
        return error.transient
    return isinstance(error, (LockTimeout, ProcessDied, ConnectionError, TimeoutError))
