"""Lines on a terminal: they end between words, and what is copied from them stays in one piece."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from regrow.cli import output

PATH = "/home/a-person-with-a-long-name/projects/forecasts/.regrow/mlflow.db"
SAID = f"there is no champion\n  where:    {PATH}\n    1. use --sample for the other champion"


def print_at(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> list[str]:
    stream = io.StringIO()
    plain = Console(file=stream, width=32, force_terminal=terminal, no_color=True, highlight=False)
    monkeypatch.setattr(output, "console", plain)
    output.print_text(SAID)
    return stream.getvalue().splitlines()


def test_a_path_stays_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    assert print_at(monkeypatch, terminal=True) == [
        "there is no champion",
        f"  where:    {PATH}",
        "    1. use --sample for the",
        "other champion",
    ]


def test_nothing_is_wrapped_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert print_at(monkeypatch, terminal=False) == SAID.splitlines()
