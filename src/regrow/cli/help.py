"""How `--help` looks: commands in groups, one example a line, no type beside flags."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

EXAMPLES = re.compile(r"(Examples?:)\s+(.*)", re.DOTALL)
# Options of `regrow` that may follow the command.
ANYWHERE = ("--log-format",)
BETWEEN = re.compile(r"(?<=\[/\])\s+(?=\[bold\])")


class Command(TyperCommand):
    """A command whose help names no type for options that are set by being there."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as they are shown."""
        return _without_types(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands, likewise; its own options may also follow the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the options of `regrow` itself from where they were given."""
        return super().parse_args(ctx, move_first(args, ANYWHERE))

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as they are shown."""
        return _without_types(super().get_params(ctx))


def move_first(args: list[str], options: Collection[str]) -> list[str]:
    """Arguments with these options, each of one value, before all others.

    >>> move_first(["run", "m", "--log-format", "json"], ["--log-format"])
    ['--log-format', 'json', 'run', 'm']
    """
    first: list[str] = []
    others: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*first, *others, word, *rest]
        if word in options and rest:
            first += [word, rest.pop(0)]
        elif word.partition("=")[0] in options and "=" in word:
            first.append(word)
        else:
            others.append(word)
    return [*first, *others]


def _without_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


def arrange(app: typer.Typer, groups: Mapping[str, str]) -> None:
    """Gives every command its group, and its text and examples their lines.

    Args:
        app: the commands, before they are added to another application.
        groups: the heading of each command, by its name.
    """
    for command in app.registered_commands:
        name = str(command.name or getattr(command.callback, "__name__", ""))
        command.cls = Command
        command.rich_help_panel = groups.get(name.replace("_", "-"))
        command.help = unwrap(command.help or inspect.getdoc(command.callback) or "")
        command.epilog = list_examples(command.epilog or "")


def unwrap(text: str) -> str:
    """A docstring's paragraphs as one line each, which the terminal breaks where it must."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def list_examples(epilog: str) -> str:
    """Examples below each other: "Examples: [bold]a[/]   [bold]b[/]" on three lines."""
    found = EXAMPLES.fullmatch(epilog)
    if found is None:
        return epilog
    return "\n  ".join([found[1], *BETWEEN.split(found[2].strip())])
