"""What a person sees of work under way: bars on a terminal, lines in a file."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from regrow.base.progress import note, report
from regrow.operations.progress_bars import draw_bars, print_lines, terminal_bars
from regrow.operations.progress_lines import Lines, format_duration


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock) -> Lines:
    return Lines(clock)


def draw(lines: Lines, width: int = 80) -> list[str]:
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as shown:
        console.print(draw_bars(lines))
    return [line.rstrip() for line in shown.get().splitlines()]


def words(line: str) -> str:
    """A line without its bar."""
    return " ".join(line.replace("━", " ").replace("╸", " ").replace("╺", " ").split())


def test_stage_training_and_epoch_are_shown_at_once(lines: Lines, clock: Clock) -> None:
    lines.report("stages", 3, 6)
    lines.report("trainings", 1, 5)
    for epoch in range(1, 12):
        lines.report("all-sensors/seed-1 final", epoch, 300)
        clock.now += 0.5
    shown = draw(lines)
    assert [words(line) for line in shown] == [
        "train stage 4 of 6",
        "training 2 of 5",
        "all-sensors/seed-1 final epoch 11 of 300 up to 2 min left",
    ]
    assert max(map(len, shown)) <= 80


def test_bars_stay_between_two_trainings(lines: Lines) -> None:
    lines.report("stages", 3, 6)
    lines.report("trainings", 0, 2)
    lines.report("seed 0", 50, 50)
    lines.report("trainings", 1, 2)
    assert [words(line) for line in draw(lines)][1:] == ["training 2 of 2", "seed 0 epoch 50 of 50"]
    lines.report("seed 1", 1, 50)
    assert [words(line) for line in draw(lines)][2:] == ["seed 1 epoch 1 of 50"]
    lines.report("stages", 4, 6)
    assert [words(line) for line in draw(lines)] == ["evaluate stage 5 of 6"]


def test_the_remaining_time_counts_what_this_process_has_done(lines: Lines, clock: Clock) -> None:
    """A training that resumes at epoch 250 has not done 250 epochs in a second."""
    line = lines.report("seed 0", 250, 300)
    assert line.left(clock.now) == ""
    clock.now += 4
    line = lines.report("seed 0", 251, 300)
    assert line.left(clock.now) == "about 3 min left"
    clock.now += 120  # no report, and the time goes on all the same
    assert line.left(clock.now) == "about 1 min left"


def test_found_trainings_do_not_shorten_the_remaining_time(lines: Lines, clock: Clock) -> None:
    line = lines.report("trainings", 0, 5)
    clock.now += 0.01
    lines.report("trainings", 1, 5)
    assert line.left(clock.now) == ""
    clock.now += 60
    lines.report("trainings", 2, 5)
    assert line.left(clock.now) == "about 3 min left"


def test_a_download_is_counted_in_megabytes(lines: Lines) -> None:
    assert lines.report("downloading a.zip", 12_345_678, 58_889_256).count() == "12.3 of 58.9 MB"
    assert lines.report("clean rows", 12_345, 0).count() == "12,345"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1, "5 s"), (42, "40 s"), (58, "1 min"), (125, "2 min"), (5000, "1.4 h")],
)
def test_durations_are_as_exact_as_an_estimate(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected


def test_a_pipe_gets_lines_now_and_then(lines: Lines, clock: Clock) -> None:
    said: list[str] = []
    tell = print_lines(lines, said.append)
    tell("stages", 3, 6)
    tell("trainings", 0, 2)
    for epoch in range(1, 301):
        clock.now += 0.1
        tell("seed 0", epoch, 300)
    tell("stages", 6, 6)
    assert said[:2] == ["train: stage 4 of 6", "  training: 1 of 2"]
    assert len(said) in (3, 4)  # at most one every 15 s
    assert re.fullmatch(r"    seed 0: epoch 15\d of 300, up to 15 s left", said[2])


@pytest.mark.parametrize("is_terminal", [True, False])
def test_notes_are_printed_wherever_progress_goes(is_terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=is_terminal, color_system=None)
    with terminal_bars(console):
        report("stages", 3, 6)
        note("training resumes after epoch 12 of 50")
    assert "training resumes after epoch 12 of 50\n" in out.getvalue()
    note("nobody listens any more")
    assert "nobody" not in out.getvalue()
