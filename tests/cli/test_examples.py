"""The commands that --help, README and docs show: all are understood, and many are run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from regrow.cli.app import app
from tests.cli.test_cli import environment
from tests.conftest import REPOSITORY, SAMPLE, Regrow
from tests.support.commands import REGROW

EXAMPLE = re.compile(r"\[bold\](.*?)\[/\]")
BLOCK = re.compile(r"^```(shell|bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
# What is run, on a home with a run on the sample: nothing that trains, downloads or serves.
RUN = """
run air-quality
run air-quality --sample
list
list air-quality --json
status
status air-quality --json
why air-quality
why air-quality --sample
log air-quality
doctor
doctor --json
predict air-quality readings.csv -o benzene.parquet
predict air-quality incoming/ -o predictions/
drift air-quality june.csv
drift air-quality june.csv july.csv --json
compare air-quality air-quality~1
freeze air-quality --why "audit"
unfreeze air-quality --why "the audit is over"
freeze air-quality --why "audit until Friday"
unfreeze air-quality --why "the audit is over"
backup monday.zip
backup monday.zip --json
bundle export models.zip
bundle export air.zip --model air-quality --json
metrics
gc --dry-run
gc
gc --keep 1 --json
dream --layers
"""
# Commands of the README that RUN does not have, by their beginnings, and what they need.
NOT_RUN = {
    "regrow run": "the real data, or a training of several minutes",
    "regrow sweep": "trainings of several minutes; tests/operations/test_sweep.py has smaller ones",
    "regrow backfill": "the real data; tests/prefect/test_flows.py has files of its own",
    "regrow predict image-similarity": "a champion on digits",
    "regrow ask": "a champion on stories; tests/models/test_question_answering_model.py has one",
    "regrow dream": "weights; tests/cli/test_picture_commands.py has random ones",
    "regrow stylize": "weights, likewise",
    "regrow embed": "a champion on sentences; tests/models/test_sentence_vectors_model.py has one",
    "regrow similar": "a champion on sentences, likewise",
    "regrow rollback": "two champions; tests/registry/test_rollback.py has them",
    "regrow approve": "a version that waits; tests/registry/test_reviews.py has one",
    "regrow export": "a champion; tests/operations/test_export.py has one",
    "regrow serve": "a server; tests/operations/test_served_under_load.py has one",
    "regrow new": "a folder of its own; tests/scaffold/test_your_own_model.py has one",
    "regrow check": "a model of one's own, likewise",
    "regrow deploy": "a server; tests/prefect/test_deployments.py has one",
    "regrow refresh": "a network; tests/sources/refresh has a server",
}
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def regrow_command() -> Any:
    """The whole application; making it takes a while."""
    return get_command(app)


def list_commands(command: Any) -> Iterator[Any]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from list_commands(below)


def list_examples() -> list[str]:
    """The examples of every --help."""
    found = [
        text
        for command in list_commands(get_command(app))
        for text in EXAMPLE.findall(command.epilog or "")
    ]
    return [text for text in dict.fromkeys(found) if text.startswith(("regrow ", "REGROW_"))]


def list_documented() -> list[tuple[str, str]]:
    """The commands of regrow in the pages' blocks, each with its page."""
    found = []
    for page in PAGES:
        for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
            prompt = "$ " if language == "console" else ""  # what is below is printed
            for line in block.replace("\\\n", " ").splitlines():
                text = line.strip().removeprefix("$ ").partition("  #")[0].strip()
                if text.startswith("regrow ") and line.strip().startswith(prompt):
                    found.append((page.name, re.split(r" (?:&&|\||>) ", text)[0]))
    return found


def split(text: str) -> list[str]:
    """The arguments of a command, without variables before it."""
    words = shlex.split(re.sub(r"\$\(.*?\)", "VALUE", text), comments=True)
    return words[words.index("regrow") + 1 :]


def parse(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that is meant, and its arguments, which it has understood."""
    command = regrow_command()
    context = command.make_context("regrow", list(arguments))
    rest = [*context._protected_args, *context.args]
    while hasattr(command, "commands"):
        name, below, rest = command.resolve_command(context, rest)
        if hasattr(below, "commands"):
            context = below.make_context(name, rest, parent=context)
            rest = [*context._protected_args, *context.args]
        command = below
    command.make_context(command.name, list(rest), parent=context)
    return command, rest


@pytest.mark.parametrize("example", list_examples())
def test_an_example_of_help_is_understood(example: str) -> None:
    parse(split(example))


def test_every_command_has_an_example() -> None:
    named = {parse(split(example))[0].name for example in list_examples()}
    commands = {c.name for c in list_commands(get_command(app)) if not hasattr(c, "commands")}
    assert commands <= named


@pytest.mark.parametrize(("page", "command"), list_documented())
def test_a_command_of_the_docs_is_understood(page: str, command: str) -> None:
    parse(split(command))


@pytest.mark.e2e
def test_the_examples_that_need_no_training_work(trained: Path, tmp_path: Path) -> None:
    """With --sample, as the home has no other run, and the preset of that run."""
    shown = {*list_examples(), *(command for _page, command in list_documented())}
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    for name in ("readings.csv", "june.csv", "july.csv", "incoming/may.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(SAMPLE, tmp_path / name)
    for text in RUN.strip().splitlines():
        assert f"regrow {text}" in shown
        arguments = split(f"regrow {text}")
        options = {option for one in parse(arguments)[0].params for option in one.opts}
        more = [] if "--sample" in arguments or "--sample" not in options else ["--sample"]
        more += ["--preset", "quick"] if arguments[0] in ("run", "why") else []
        done = subprocess.run(
            [sys.executable, *REGROW, *arguments, *more],
            env=environment(home),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_every_command_of_the_readme_is_run_or_said_why_not() -> None:
    run = {f"regrow {text}" for text in RUN.strip().splitlines()}
    left = [c for page, c in list_documented() if page == "README.md" and c not in run]
    unexplained = [c for c in left if not any(c.startswith(known) for known in NOT_RUN)]
    assert unexplained == []


@pytest.mark.e2e
def test_the_python_of_the_readme_works(trained: Path, tmp_path: Path) -> None:
    """On a home with such a run, so that nothing is trained."""
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    shutil.copyfile(SAMPLE, tmp_path / "readings.csv")
    [code, *_] = PYTHON.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(home),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for word in ("rmse", "is the first champion", "benzene_ug_m3_predicted", "air-quality.sample"):
        assert word in done.stdout


def test_help_is_for_people(regrow: Regrow) -> None:
    """Every command has a heading and its examples lines of their own; flags have no type."""
    app_help = regrow("--help", env={"COLUMNS": "80"}).stdout
    assert "Commands ─" not in app_help
    assert "<bool>" not in app_help
    run_help = regrow("run", "--help", env={"COLUMNS": "80"}).stdout
    assert "<bool>" not in run_help
    lines = [line.strip() for line in run_help.partition("Examples:")[2].splitlines()]
    assert "regrow run air-quality" in lines
    assert "regrow run --all --or-sample" in lines
    assert regrow("--version").stdout.startswith("regrow 0.")
