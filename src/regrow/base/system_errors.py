"""What the operating system, files and memory refuse, as errors that a person can act on."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from errno import EACCES, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOSPC, EPERM, EROFS

from regrow.base.errors import DataError, RegrowError, UserError
from regrow.base.foreign_variables import find_refused_variable
from regrow.base.network import find_problem


@dataclass(frozen=True)
class Refusal:
    """What the operating system refuses, and what to do then.

    Attributes:
        numbers: of `OSError`.
        texts: as SQLite says it, also where a library hands on nothing but the text.
    """

    what: str
    numbers: Collection[int]
    texts: tuple[str, ...]
    remedies: tuple[str, ...]

    def fits(self, cause: BaseException) -> bool:
        """Whether an error is this one."""
        number = cause.errno if isinstance(cause, OSError) else None
        return number in self.numbers or any(text in str(cause) for text in self.texts)


# As TensorFlow, JAX and PyTorch say it, in classes of their own.
NO_MEMORY = ("OOM when allocating", "RESOURCE_EXHAUSTED", "not enough memory", "out of memory")
REFUSALS = (
    Refusal(
        "there is no space left on the disk",
        {ENOSPC, EDQUOT, EFBIG},
        ("database or disk is full",),
        remedies=(
            "free up space (regrow gc removes unused results), then run the same command again; "
            "finished stages are kept",
            "or set REGROW_HOME to a larger disk; you can move the whole home there",
        ),
    ),
    Refusal(
        "too many files are open",
        {EMFILE, ENFILE},
        (),
        remedies=("raise the limit (see ulimit -n) and run the same command again",),
    ),
    Refusal(
        "permission to read or write a file or folder was denied",
        {EACCES, EPERM, EROFS},
        ("attempt to write a readonly database", "unable to open database file"),
        remedies=(
            "grant this account access, or mount the file system as writable",
            "or set REGROW_HOME to a folder that you own",
        ),
    ),
    Refusal(
        "a disk failed to read or write data",
        {EIO},
        ("disk I/O error",),
        remedies=(
            "check the disk and the limits of this account (ulimit -f), then run again; finished "
            "stages are kept",
            "or set REGROW_HOME to another disk",
        ),
    ),
)


def explain(error: BaseException) -> UserError | None:
    """What to do about an error of the system or of memory, or of a variable that a library
    refuses; None for any other error.
    """
    for cause in _causes(error):
        if isinstance(cause, RegrowError):
            return None  # it says what it is about
        received = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        where = str(cause.filename) if isinstance(cause, OSError) and cause.filename else None
        for refusal in REFUSALS:
            if refusal.fits(cause):
                return UserError(
                    refusal.what, where=where, received=received, remedies=refusal.remedies
                )
        if isinstance(cause, MemoryError) or any(text in str(cause) for text in NO_MEMORY):
            return UserError(
                "there is not enough memory",
                received=received,
                remedies=[
                    "reduce the number of units, the batch size or the picture size",
                    "or use a machine with more memory; --on train=POOL runs a stage there",
                ],
            )
        # As HTTP libraries fail with such variables, without a word on them.
        if not where and _is_about_network(cause) and (problem := find_problem()) is not None:
            return problem
        if isinstance(cause, zipfile.BadZipFile):
            return DataError(
                "a file is damaged: it is not a complete zip archive, as .npz and .keras files are",
                received=received,
                remedies=["restore the file, or create it again: regrow run"],
            )
        if (problem := find_refused_variable(cause)) is not None:
            return problem
    return None


def _is_about_network(cause: BaseException) -> bool:
    """Whether an error can come of a variable of proxies or certificates."""
    text = str(cause).lower()
    return isinstance(cause, OSError) or "socks" in text or "proxy" in text


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, the latest first."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
