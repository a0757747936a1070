"""Interruptions: Ctrl-C, SIGTERM and a closed terminal end a command at once; it can be resumed.

Python delivers a signal to the main thread when that runs Python code. A compiled epoch or a name
look-up may keep it for minutes, so a thread of its own learns of the signal, tells the user, and
ends the process if the main thread has not done so in time. Everything on disk is then as after
SIGKILL: whole, and the next run continues from the last checkpoint.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long the main thread may take to end, and after that the last messages to servers.
GRACE_S = 1.5
LAST_WORDS_S = 0.8


class Work:
    """The work of this process that a signal interrupts.

    Attributes:
        stage: the stage under way, if any.
        interrupted: whether the signal has come.
        ends_itself: whether the command handles signals itself, as servers do.
        last_words: called before the process is ended by force.
    """

    def __init__(self, announce: Callable[[str | None], None]) -> None:
        self.stage: str | None = None
        self.interrupted = False
        self.ends_itself = False
        self.last_words: list[Callable[[], None]] = []
        self._announce = announce
        self._announced = threading.Event()
        self._lost = False

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Handles a signal in the main thread; a second one changes nothing.

        Raises:
            KeyboardInterrupt: at the first signal.
        """
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt

    def note_lost(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Takes an exception that nobody can catch: one raised while Python collected garbage."""
        if isinstance(unraisable.exc_value, Exception):
            sys.__unraisablehook__(unraisable)
        else:  # KeyboardInterrupt, or what Prefect makes of SIGTERM
            self._lost = True

    def end(self) -> NoReturn:
        """Ends the process once the user has been told; the work has been wound up."""
        self._announced.wait(GRACE_S)
        end_at_once()

    def watch(self, descriptor: int) -> None:
        """Waits for a signal, announces it, and ends the process after a while."""
        while not self._has_come(descriptor) or self.ends_itself:
            continue
        end = time.monotonic() + GRACE_S
        self._announce(self.stage)
        self._announced.set()
        while time.monotonic() < end:
            time.sleep(0.05)
            if self._lost:
                self._lost = self.interrupted = False
                _thread.interrupt_main()
        speaker = threading.Thread(target=self._speak, daemon=True)
        speaker.start()
        speaker.join(LAST_WORDS_S)
        end_at_once()

    def _has_come(self, descriptor: int) -> bool:
        numbers = os.read(descriptor, 64)
        if not numbers:  # the work has ended
            os.close(descriptor)
            raise SystemExit
        return any(number in SIGNALS for number in numbers)

    def _speak(self) -> None:
        for act in self.last_words:
            with suppress(Exception):  # there is nobody left to be told
                act()


_work: ContextVar[Work | None] = ContextVar("regrow_work", default=None)


@contextmanager
def interruptible(announce: Callable[[str | None], None]) -> Iterator[Work]:
    """Has the first signal announced at once and raised in the block as KeyboardInterrupt.

    An interrupted block is the last thing that the process does: it ends with `EXIT_CODE`. Signals
    that are ignored, as nohup has it, stay ignored. For the main thread.

    Args:
        announce: called in another thread with the stage that is interrupted, or None.
    """
    work = Work(announce)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    heeded = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, work.interrupt) for number in heeded}
    sys.unraisablehook = work.note_lost
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # A forked child has the pipe in common with this process: its signals are its own.
    os.register_at_fork(after_in_child=_stop_waking)
    threading.Thread(target=work.watch, args=(reader,), daemon=True, name="signals").start()
    token = _work.set(work)
    try:
        yield work
    finally:
        _work.reset(token)
        if work.interrupted and not work.ends_itself:
            work.end()
        else:
            sys.unraisablehook = sys.__unraisablehook__
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(writer)


def end_at_once() -> NoReturn:
    """Ends the process without what libraries do at the end of Python, which takes seconds."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(EXIT_CODE)


def _stop_waking() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)


def note_stage(stage: str | None) -> None:
    """Says which stage is under way."""
    if (work := _work.get()) is not None:
        work.stage = stage


def obey_signals_alone() -> None:
    """Marks this command as one that handles signals itself and is not ended by force."""
    if (work := _work.get()) is not None:
        work.ends_itself = True


@contextmanager
def last_words(act: Callable[[], None]) -> Iterator[None]:
    """Has `act` called, in another thread, if the process is ended by force during the block."""
    work = _work.get()
    if work is None:
        yield
        return
    work.last_words.append(act)
    try:
        yield
    finally:
        work.last_words.remove(act)
