"""Locks between processes that leave no file behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regrow.base.errors import LockTimeout


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file `path`. Writes nothing, so a home may be read-only.

    The operating system frees a lock when its process ends, whatever a process number or a host
    name says: numbers are used again, and containers have numbers and often names in common.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # A shared lock, so that two that ask at once do not take each other for the holder.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held, or this file system has no locks and the file is the mark
        return True
    finally:
        os.close(file)
    return False


@contextmanager
def exclusive(path: Path, *, timeout_s: float = 3600.0) -> Iterator[None]:
    """Holds the lock file `path`; the operating system frees it if this process dies.

    The file is removed while the lock is still held. That is safe with filelock, which takes a lock
    only on the file that is at `path` now and otherwise tries again.

    Raises:
        LockTimeout: another process held the lock for all of `timeout_s` seconds.
    """
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=timeout_s)
    except filelock.Timeout as error:
        raise LockTimeout(
            f"{path} is locked by another run for more than {timeout_s:.0f} s"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
