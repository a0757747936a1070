"""Processes that end when the process that started them has ended, however it did."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

CHECK_INTERVAL_S = 0.25


def when_orphaned(parent: int, act: Callable[[], None]) -> None:
    """Has `act` called, in a thread, once this process is no longer a child of `parent`.

    SIGKILL leaves a process no time to end its children, so the children look for themselves.

    Args:
        parent: the process that started this one, as that process says: it may have ended already.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(CHECK_INTERVAL_S)
        act()

    threading.Thread(target=watch, daemon=True, name="parent").start()
