"""Progress bars of a terminal, and a line in a notebook that is written anew."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from regrow.base.interruption import last_words
from regrow.base.progress import Progress, noting_to, reporting_to
from regrow.operations.progress_lines import STAGE, TRAINING, Line, Lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# A notebook keeps every update until it has shown it.
EVERY_S = 0.2
# How often a file or a pipe gets a line on work that takes long.
SAY_EVERY_S = 15.0


@contextmanager
def terminal_bars(console: Console) -> Iterator[None]:
    """Shows the progress and the notes of everything inside on a console.

    On a terminal as bars, else as lines: each stage and training, and how far work is.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    lines = Lines()
    if not console.is_terminal:
        with reporting_to(print_lines(lines, say)), noting_to(say):
            yield
        return
    from rich.live import Live

    bars = Live(
        get_renderable=lambda: draw_bars(lines),
        console=console,
        transient=True,
        refresh_per_second=5,
    )

    def report(what: str, done: int, total: int) -> None:
        lines.report(what, done, total)

    with bars, last_words(bars.stop), reporting_to(report), noting_to(say):
        yield


def draw_bars(lines: Lines) -> Table:
    """The lines as bars for a terminal of 80 columns or more."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(width=28, no_wrap=True, overflow="ellipsis")
    table.add_column(width=12)
    for _ in ("count", "left"):
        table.add_column(no_wrap=True)
    now = lines.clock()
    for depth, line in lines.nested():
        bar = ProgressBar(line.total or None, line.done, width=12, pulse=not line.total)
        name = Text(" " * (1 + depth) + line.name(), style="bold" if line.what == STAGE else "")
        table.add_row(name, bar, line.count(), Text(line.left(now), style="dim"))
    return table


def print_lines(lines: Lines, say: Callable[[str], None]) -> Progress:
    """A reporter that says each stage and training when it begins, and now and then how far it is.

    Args:
        lines: what is under way.
        say: called with a line of text.
    """
    said = lines.clock()

    def report(what: str, done: int, total: int) -> None:
        nonlocal said
        line = lines.report(what, done, total)
        begins = what in (STAGE, TRAINING) and done < total
        now = lines.clock()
        if begins or (what not in (STAGE, TRAINING) and now - said >= SAY_EVERY_S):
            said = now
            parts = [part for part in (line.count(), line.left(now)) if part]
            counted = f": {', '.join(parts)}" if parts else ""
            depth = next((depth for depth, one in lines.nested() if one is line), 0)
            say(f"{'  ' * depth}{line.name()}{counted}")

    return report


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
    lines = Lines()
    drawn = 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal drawn
        lines.report(what, done, total)
        now = time.monotonic()
        if what == STAGE or (total and done >= total) or now - drawn >= EVERY_S:
            drawn = now
            show("<br>".join([escape(title), *(make_bar(line, lines.clock()) for line in lines)]))

    return report


def make_bar(line: Line, now: float) -> str:
    """A line as HTML."""
    known = f' value="{line.done}" max="{line.total}"' if line.total else ""
    words = " ".join(part for part in (line.name(), line.count(), line.left(now)) if part)
    return f"<progress{known}></progress> {escape(words)}"
