"""Locks between processes that leave no file behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regrow.engine.errors import LockTimeout


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
        raise LockTimeout(f"{path} is held by another run for {timeout_s:.0f} s") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
