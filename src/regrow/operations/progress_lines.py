"""What a run is doing now, as lines: its stage, which of its trainings, and the work inside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from regrow.pipeline.stages import STAGES

STAGE, TRAINING = "stages", "trainings"  # what these report their progress as
DOWNLOADING = "downloading"
# A training that an earlier process has finished takes no longer than this to be found.
FOUND_S = 0.5
MB = 10**6


@dataclass
class Line:
    """One piece of work.

    Attributes:
        what: its name.
        done: how much of it is done.
        total: how much there is to do; 0 where that is not known.
        epochs: whether its steps are epochs, of which there may be fewer than `total`.
    """

    what: str
    done: int
    total: int
    epochs: bool = False
    _first: tuple[int, float] = field(default=(0, 0.0), repr=False)
    _last: float = field(default=0.0, repr=False)
    _durations: list[float] = field(default_factory=list, repr=False)

    def update(self, done: int, total: int, now: float) -> None:
        """Takes a report."""
        if not self._last:
            # What a killed process had done says nothing of this one's speed, and the first step
            # takes longer than others, as it compiles.
            self._first = (done, now)
        elif done > self.done:
            if now - self._last > FOUND_S:
                self._durations.append(now - self._last)
            self._last = now
        self._last = self._last or now
        self.done, self.total = done, total

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or would not tell when it has."""
        return not self.total or self.done >= self.total

    def count(self) -> str:
        """How much of it is done, in words."""
        if self.what == STAGE:
            return f"stage {min(self.done + 1, self.total)} of {self.total}"
        if self.what == TRAINING:
            return f"{min(self.done + 1, self.total)} of {self.total}"
        if self.what.startswith(DOWNLOADING):
            whole = f" of {self.total / MB:,.1f}" if self.total else ""
            return f"{self.done / MB:,.1f}{whole} MB"
        if not self.total:
            return f"{self.done:,}" if self.done else ""
        steps = f"{self.done:,} of {self.total:,}"
        return f"epoch {steps}" if self.epochs else steps

    def name(self) -> str:
        """What it is, in words."""
        if self.what == STAGE:
            return list(STAGES)[min(self.done, self.total - 1)]
        return "training" if self.what == TRAINING else self.what

    def left(self, now: float) -> str:
        """How long the rest may take, in words; "" where that is not known."""
        seconds = self._estimate(now)
        if seconds is None:
            return ""
        # Training may stop early.
        return f"{'up to' if self.epochs else 'about'} {format_duration(seconds)} left"

    def _estimate(self, now: float) -> float | None:
        if self.is_over or self.what == STAGE:
            return None
        rest = self.total - self.done
        if self.what == TRAINING:  # as long as the others took
            if not self._durations:
                return None
            mean = sum(self._durations) / len(self._durations)
            return max(rest * mean - (now - self._last), 0.0)
        done, at = self._first
        if self.done <= done or self._last <= at:
            return None
        each = (self._last - at) / (self.done - done)
        return max(rest * each - (now - self._last), 0.0)


class Lines:
    """The lines of the work under way, from the widest to the narrowest.

    Args:
        clock: the present time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lines: dict[str, Line] = {}

    def __iter__(self) -> Iterator[Line]:
        return iter(list(self._lines.values()))

    def nested(self) -> Iterator[tuple[int, Line]]:
        """The lines, each with how many of a run's lines it is part of."""
        depth = 0
        for line in self:
            yield depth, line
            depth += line.what in (STAGE, TRAINING)

    def report(self, what: str, done: int, total: int) -> Line:
        """Takes a report; see `regrow.base.progress.Progress`. Returns its line."""
        line = self._lines.get(what)
        if line is None or what == STAGE:
            self._make_room(what)
        if line is None:
            training = self._lines.get(TRAINING)
            line = Line(what, done, total, epochs=training is not None and not training.is_over)
            self._lines[what] = line
        line.update(done, total, self.clock())
        return line

    def _make_room(self, what: str) -> None:
        """Removes lines of work that has ended when other work begins."""
        names = list(self._lines)
        inside = names[names.index(STAGE) + 1 :] if STAGE in names else []
        for name in names:
            is_over = name not in (STAGE, TRAINING) and self._lines[name].is_over
            if is_over or (what == STAGE and name in inside):
                del self._lines[name]


def format_duration(seconds: float) -> str:
    """A time in words, not more exact than an estimate is: "40 s", "12 min", "1.5 h"."""
    if seconds < 55:
        return f"{max(5 * round(seconds / 5), 5)} s"
    if seconds < 3300:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
