"""Progress bars of a terminal, and a line in a notebook that is written anew."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from regrow.base.interruption import last_words
from regrow.base.progress import Progress, reporting_to

if TYPE_CHECKING:
    from rich.console import Console

# A notebook keeps every update until it has shown it.
EVERY_S = 0.2


@contextmanager
def terminal_bars(console: Console) -> Iterator[None]:
    """Shows the progress of everything inside as bars, if the console is a terminal."""
    if not console.is_terminal:
        yield
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("  {task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console, transient=True) as bars,
        last_words(bars.stop),
    ):
        known: dict[str, Any] = {}
        endless: set[str] = set()

        def report(what: str, done: int, total: int) -> None:
            if what not in known:
                # Work of unknown length has ended when other work begins.
                for other in [name for name in known if name in endless]:
                    bars.remove_task(known.pop(other))
                if not total:
                    endless.add(what)
                known[what] = bars.add_task(what, total=total or None)
            bars.update(known[what], completed=done, total=total or None)
            if total and done >= total:
                bars.remove_task(known.pop(what))

        with reporting_to(report):
            yield


@contextmanager
def notebook_bars(title: str) -> Iterator[None]:
    """Shows the progress of everything inside below the cell of a Jupyter notebook.

    In any other process it shows bars on standard error, if that is a terminal.
    """
    show = find_display()
    if show is None:
        from rich.console import Console

        with terminal_bars(Console(stderr=True, highlight=False)):
            yield
        return
    with reporting_to(draw_lines(title, show)):
        try:
            yield
        finally:
            show("")


def find_display() -> Callable[[str], None] | None:
    """A function that shows HTML in place of what it showed before; None outside of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)

    def show(html: str) -> None:
        if handle is not None:
            handle.update(HTML(html))

    return show


def draw_lines(title: str, show: Callable[[str], None]) -> Progress:
    """A reporter that draws the stages and the work inside the present one."""
    lines: dict[str, str] = {}
    drawn = 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal drawn
        part = "stages" if what == "stages" else "work"
        lines[part] = make_bar(what, done, total)
        if part == "stages":
            lines.pop("work", None)
        now = time.monotonic()
        if part == "stages" or (total and done >= total) or now - drawn >= EVERY_S:
            drawn = now
            show("<br>".join([escape(title), *lines.values()]))

    return report


def make_bar(what: str, done: int, total: int) -> str:
    """One line of HTML that shows how far work has come; total 0 where that is not known."""
    known = f' value="{done}" max="{total}"' if total else ""
    counted = f"{done}/{total}" if total else str(done)
    return f"<progress{known}></progress> {escape(what)} {counted}"
