"""docs/walk.md, command by command, at a terminal of 80 columns."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, SAMPLE
from tests.support.commands import own_environment
from tests.support.terminals import at_terminal

PAGE = REPOSITORY / "docs" / "walk.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a terminal gets: commands such as "\x1b[2K", links, ends of lines, text.
TOKEN = re.compile(
    r"\x1b\[(?P<number>[0-9;?]*)(?P<act>[A-Za-z])|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b."
    r"|(?P<end>[\r\n])|(?P<text>[^\x1b\r\n]+)"
)
COLUMNS = 80
TIMEOUT_S = 600.0


def read_walk() -> Iterator[tuple[str, list[str]]]:
    """The commands of the page, each with the lines that it prints."""
    for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield command, lines


def match(expected: list[str], shown: list[str]) -> bool:
    """Whether lines are as expected: "..." alone is any lines, and inside a line any text."""
    pattern = ""
    for line in expected:
        words = [re.escape(part) for part in line.split("...")]
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else ".*".join(words) + r"\s*\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in shown)) is not None


def read_screen(printed: str) -> list[str]:
    """The lines that stay on a terminal: bars are written anew, and erased at the end."""
    lines, row, column = [""], 0, 0
    for found in TOKEN.finditer(printed):
        if text := found["text"]:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        elif found["end"] == "\r":
            column = 0
        elif found["end"] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif found["act"] == "A":
            row = max(row - int(found["number"] or 1), 0)
        elif found["act"] == "K":
            lines[row] = "" if found["number"] == "2" else lines[row][:column]
    return [line.rstrip() for line in lines if line.strip()]


def test_the_screen_is_read_as_a_person_sees_it() -> None:
    assert read_screen("a\r\nbar 1\rbar 2\x1b[2K\r\x1b[1A\x1b[2Kb\x1b[1mc\x1b[0m\r\n") == ["bc"]


def test_the_matcher_can_fail() -> None:
    assert match(["a...d", "...", "z"], ["abcd", "x", "y", "z"])
    assert match(["a", "...", "z"], ["a", "z"])
    assert not match(["a...d", "z"], ["abc", "z"])
    assert not match(["a", "...", "z"], ["a", "y"])


@pytest.mark.e2e
def test_the_first_hour(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copyfile(SAMPLE, folder / "readings.csv")
    environment = {
        **own_environment(tmp_path),
        "REGROW_HOME": str(folder / ".regrow"),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }
    environment.pop("PREFECT_HOME")
    steps = list(read_walk())
    assert len(steps) > 15
    for command, expected in steps:
        with at_terminal("bash", "-c", command, env=environment, cwd=folder) as terminal:
            terminal.end(TIMEOUT_S)
            shown = read_screen(terminal.shown)
        wanted = [line.rstrip() for line in expected if line.strip()]
        assert match(wanted, shown), "\n".join([command, *shown, "", "expected:", *wanted])
        assert "Traceback" not in terminal.shown, terminal.shown
        # A command to copy may be longer than the screen; everything else ends between words.
        long = [line for line in shown if len(line) > COLUMNS]
        assert all(re.match(r"\s*(regrow |report)|.*/", line) for line in long), long
