"""The command that answers questions about a story: from a file, a pipe, or typed line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from regrow.cli.act import prepare_terminal
from regrow.cli.options import Json, Sample
from regrow.cli.output import console, errors, print_json
from regrow.engine.config import list_scopes, read_environment
from regrow.engine.errors import UserError
from regrow.models import get_spec

if TYPE_CHECKING:
    from regrow.models.question_answering.predict import Answered

MODEL = "question-answering"
ASK_EXAMPLES = (
    "Examples: [bold]regrow ask[/]   [bold]regrow ask story.txt[/]   "
    "[bold]regrow ask story.txt --question 'Where is Mary?'[/]   "
    "[bold]regrow ask story.txt --scope qa02 --unknown nearest --json[/]"
)
BAR_CELLS = 8
# More sentences than these are cut to the ones that count most.
MOST_SENTENCES = 12


def ask(
    story: Annotated[
        Path | None,
        typer.Argument(help="A text file, a sentence a line; without it, what is typed or piped."),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="Asked at the end of the story.")
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(help="Whose champion answers, such as qa02 [default: the widest there is]."),
    ] = None,
    version: Annotated[int | None, typer.Option(help="A version other than the champion.")] = None,
    unknown: Annotated[
        Literal["refuse", "skip", "nearest"],
        typer.Option(help="Words that the network does not know."),
    ] = "refuse",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Answers questions about a story, and shows which sentences the answer rests on.

    A line that ends with a question mark is a question about the lines before it; an empty line
    begins a new story.
    """
    prepare_terminal()
    if story is not None and not story.is_file():
        raise UserError("there is no such story", where=str(story), expected="a text file")
    settings = read_environment()
    chosen = _choose_scope(settings.home, sample) if scope is None else scope
    from regrow.engine.predict import load_registered
    from regrow.models.question_answering.predict import answer_asked
    from regrow.models.question_answering.stories import decode_lines, parse_stories

    model, used = load_registered(
        get_spec(MODEL), settings, version=version, sample=sample, scope=chosen
    )
    if story is None and question is None and sys.stdin.isatty():
        errors.print(f"{used}. A sentence a line, a question mark asks, Ctrl-D ends.", markup=False)
        told: list[str] = []
        for line in _read_typed():
            told = [*told, line] if line.strip() else []
            if line.rstrip().endswith("?"):
                try:
                    _show(answer_asked(model, parse_stories(told, "typed")[-1:], unknown)[0])
                except UserError as error:  # the story goes on: a word can be said otherwise
                    errors.print(str(error), markup=False, soft_wrap=True)
                told.pop()
        return
    name = "standard input" if story is None else str(story)
    lines = decode_lines(sys.stdin.buffer.read() if story is None else story.read_bytes(), name)
    asked = parse_stories([*lines, *([_mark(question)] if question else [])], name)
    if question:
        asked = asked[-1:]
    found = answer_asked(model, asked, unknown)
    if as_json:
        print_json({"model": used, "answers": [_as_json(one) for one in found]})
        return
    for one in found:
        _show(one)
    errors.print(f"answered by {used}", markup=False)


def _choose_scope(home: Path, sample: bool) -> str:
    """The champion of all tasks if there is one, else the only one that there is.

    Raises:
        UserError: there is none, or there are several.
    """
    scopes = list_scopes(home, MODEL, sample=sample)
    if "" in scopes or not scopes:
        return ""
    if len(scopes) > 1:
        raise UserError(
            "there are several champions, none of them for all tasks",
            where="--scope",
            expected=f"one of {', '.join(scopes)}",
            remedies=[f"regrow run {MODEL} --preset joint trains one for all tasks"],
        )
    return scopes[0]


def _mark(question: str) -> str:
    return question if question.rstrip().endswith("?") else f"{question.rstrip()}?"


def _read_typed() -> Iterator[str]:
    while True:
        try:
            yield console.input("> ")
        except EOFError:
            console.print()
            return


def _show(found: Answered) -> None:
    """Prints an answer, and each sentence with its weight in each hop."""
    console.print(f"\n{found.asked.question}", markup=False)
    others = ", ".join(f"{answer} {share:.0%}" for answer, share in found.others if share >= 0.005)
    console.print(f"[bold green]{found.answer}[/] {found.confidence:.0%}", end="")
    console.print(f"   (or {others})" if others else "", style="dim")
    for word, read_as in found.replaced.items():
        how = f"was read as {read_as!r}" if read_as else "was left out"
        console.print(f"  {word!r} is not known and {how}", style="yellow", markup=False)
    if found.attention is None:
        return
    hops, story = found.attention, found.asked.story
    most = sorted(range(len(story)), key=lambda n: -hops[:, n].max())[:MOST_SENTENCES]
    for place in sorted(most):
        bars = " ".join(_bar(float(share)) for share in hops[:, place])
        console.print(f"  {bars} {place + 1:>3} {story[place]}", markup=False)


def _bar(share: float) -> str:
    eighths = round(min(max(share, 0.0), 1.0) * BAR_CELLS * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(BAR_CELLS, "·")


def _as_json(found: Answered) -> dict[str, Any]:
    values = asdict(found)
    values["attention"] = None if found.attention is None else found.attention.tolist()
    return values
