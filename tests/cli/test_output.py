"""Lines on a terminal: they end between words, and what is copied from them stays in one piece."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from regrow.cli import output

PATH = "/home/a-person-with-a-long-name/projects/forecasts/.regrow/mlflow.db"
SAID = f"there is no champion\n  where:    {PATH}\n    1. use --sample for the other champion"


def show_at(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    """What is printed from now on, by a console of 32 columns."""
    stream = io.StringIO()
    plain = Console(
        file=stream, width=32, force_terminal=terminal, color_system=None, highlight=False
    )
    monkeypatch.setattr(output, "console", plain)
    return stream


def test_a_path_stays_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show_at(monkeypatch, terminal=True)
    output.print_text(SAID)
    assert shown.getvalue().splitlines() == [
        "there is no champion",
        f"  where:    {PATH}",
        "    1. use --sample for the",
        "other champion",
    ]


def test_nothing_is_wrapped_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show_at(monkeypatch, terminal=False)
    output.print_text(SAID)
    assert shown.getvalue().splitlines() == SAID.splitlines()


def test_a_table_that_is_too_wide_is_shown_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show_at(monkeypatch, terminal=True)
    columns = ["model", "reconstruction", "correlation", "seconds"]
    output.print_table("results", columns, [["plain", 0.25, 0.5, 12], ["gated", 0.125, 0.5, 9]])
    assert [line.rstrip() for line in shown.getvalue().splitlines()] == [
        "results",
        "model  reconstruction",
        "plain            0.25",
        "gated           0.125",
        "model  correlation  seconds",
        "plain          0.5       12",
        "gated          0.5        9",
    ]


def test_a_table_that_fits_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show_at(monkeypatch, terminal=True)
    output.print_table("results", ["model", "rows in the table"], [["plain", 100], ["gated", 9]])
    assert len(shown.getvalue().splitlines()) == 4
