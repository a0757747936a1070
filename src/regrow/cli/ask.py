"""`regrow ask`: answers about a story from a file, from a pipe, or typed line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from regrow.base.errors import UserError
from regrow.base.settings import Settings, read_environment
from regrow.cli.options import Json, Sample, Version
from regrow.cli.output import console, print_json, print_text, tell, waiting
from regrow.cli.terminal import prepare_terminal
from regrow.registry.names import ChampionRef, list_champions

if TYPE_CHECKING:
    from regrow.models.question_answering.predict import Answered

MODEL = "question-answering"
EXAMPLES = (
    "Examples: [bold]regrow ask[/]   [bold]regrow ask story.txt[/]   "
    "[bold]regrow ask story.txt --question 'Where is Mary?'[/]   "
    "[bold]regrow ask story.txt --scope qa02 --unknown nearest --json[/]"
)
BAR_CELLS = 8
# Of a longer story, only the sentences with the largest weights are shown.
MAX_SHOWN_SENTENCES = 12

Story = Annotated[
    Path | None,
    typer.Argument(help="A text file with one sentence per line. [default: standard input]"),
]
Question = Annotated[
    str | None, typer.Option("--question", "-q", help="A question to ask at the end of the story.")
]
AnsweringScope = Annotated[
    str | None,
    typer.Option(
        "--scope",
        help="The scope of the champion, such as qa02 [default: all tasks, if available].",
    ),
]
UnknownWords = Literal["refuse", "skip", "nearest"]
Unknown = Annotated[
    UnknownWords, typer.Option(help="How to handle words that the network does not know.")
]

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def ask(
    story: Story = None,
    question: Question = None,
    scope: AnsweringScope = None,
    version: Version = None,
    unknown: Unknown = "refuse",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Answers questions about a story and shows the supporting sentences.

    A line that ends with a question mark is a question about the lines before it. An empty line
    starts a new story.
    """
    prepare_terminal()
    if story is not None and not story.is_file():
        raise UserError("there is no such story", where=str(story), expected="a text file")
    settings = read_environment()
    chosen = _choose_scope(settings, sample) if scope is None else scope
    from regrow.operations.predict import load_registered

    with waiting("loading the champion..."):
        model, used = load_registered(ChampionRef(MODEL, chosen, sample, version), settings)
    if story is None and question is None and sys.stdin.isatty():
        tell(f"{used}. Enter one sentence per line; end questions with ?, exit with Ctrl-D.")
        _answer_typed(model, unknown)
        return
    found = _answer_text(model, story, question, unknown)
    if as_json:
        print_json({"model": used, "answers": [_as_json(one) for one in found]})
        return
    for one in found:
        _show(one)
    tell(f"answered by {used}")


def _answer_typed(model: Any, unknown: UnknownWords) -> None:
    """Answers each question of a story while the story is typed."""
    from regrow.models.question_answering.predict import answer_asked
    from regrow.models.question_answering.stories import parse_stories

    lines: list[str] = []
    for line in _read_typed():
        lines = [*lines, line] if line.strip() else []
        if line.rstrip().endswith("?"):
            try:
                _show(answer_asked(model, parse_stories(lines, "typed")[-1:], unknown)[0])
            except UserError as error:  # the story goes on, so that the line can be reworded
                tell(str(error))
            lines.pop()


def _answer_text(
    model: Any, story: Path | None, question: str | None, unknown: UnknownWords
) -> list[Answered]:
    """Answers the questions of a file or of standard input, or one asked at the end of it."""
    from regrow.models.question_answering.predict import answer_asked
    from regrow.models.question_answering.stories import decode_lines, parse_stories

    name = "standard input" if story is None else str(story)
    lines = decode_lines(sys.stdin.buffer.read() if story is None else story.read_bytes(), name)
    if not question:
        return answer_asked(model, parse_stories(lines, name), unknown)
    return answer_asked(model, parse_stories([*lines, _mark(question)], name)[-1:], unknown)


def _choose_scope(settings: Settings, sample: bool) -> str:
    """The scope of the champion of all tasks if there is one, else of the only champion.

    Raises:
        UserError: there are several champions, and none of all tasks.
    """
    scopes = [ref.scope for ref in list_champions(settings, MODEL) if ref.sample == sample]
    if "" in scopes or not scopes:
        return ""
    if len(scopes) > 1:
        raise UserError(
            "there are several champions, but none for all tasks",
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
    """Prints an answer, and each sentence with its attention weight in each hop."""
    print_text(f"\n{found.asked.question}")
    others = ", ".join(f"{answer} {share:.0%}" for answer, share in found.others if share >= 0.005)
    console.print(found.answer, style="bold green", markup=False, end="")
    console.print(f" {found.confidence:.0%}", end="")
    console.print(f"   (or {others})" if others else "", style="dim", markup=False)
    for word, read_as in found.replaced.items():
        how = f"was read as {read_as!r}" if read_as else "was left out"
        console.print(f"  {word!r} is not known and {how}", style="yellow", markup=False)
    if found.attention is None:
        return
    hops, story = found.attention, found.asked.story
    most = sorted(range(len(story)), key=lambda n: -hops[:, n].max())[:MAX_SHOWN_SENTENCES]
    for place in sorted(most):
        bars = " ".join(_bar(float(share)) for share in hops[:, place])
        print_text(f"  {bars} {place + 1:>3} {story[place]}")


def _bar(share: float) -> str:
    eighths = round(min(max(share, 0.0), 1.0) * BAR_CELLS * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(BAR_CELLS, "·")


def _as_json(found: Answered) -> dict[str, Any]:
    values = asdict(found)
    values["attention"] = None if found.attention is None else found.attention.tolist()
    return values
