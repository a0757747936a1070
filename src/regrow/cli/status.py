"""`regrow status`: one line a model, and below it what needs a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table as RichTable
from rich.text import Text

from regrow.base.project import get_spec, list_models
from regrow.base.settings import read_environment
from regrow.cli import options
from regrow.cli.output import console, format_cell, print_command, print_json, print_text
from regrow.operations.find_runs import shorten_id
from regrow.operations.status import read_status
from regrow.registry.names import ChampionRef
from regrow.report.numbers import name_metric

# For each state of a model its mark and its colour.
MARKS = {
    "good": ("✓", "green"),
    "attention": ("!", "yellow"),
    "failed": ("✗", "red"),
    "running": ("…", "cyan"),
    "never": ("·", "dim"),
}
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

app = typer.Typer()


@app.command(epilog="Examples: [bold]regrow status[/]   [bold]regrow status air-quality --json[/]")
def status(
    model: Annotated[str | None, typer.Argument(help="Show only this model, with details.")] = None,
    as_json: options.Json = False,
) -> None:
    """Shows the champion of each model, its age, and the result of the last run.

    Below the table are versions that wait for approval, warnings, and the errors of failed runs.
    """
    settings = read_environment()
    names = [get_spec(model).name] if model else list_models()
    rows = [read_status(name, settings) for name in names]
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.print("this project has no models; create one with regrow new NAME")
        return
    console.print(_tabulate(rows))
    for row in rows:
        if model:
            _print_run(row)
        for title, champion in _list_champions(row):
            _print_champion(title, champion, in_full=bool(model))
        if row["error"]:
            print_text(f"\n{row['model']} failed:\n{row['error']}")


def _tabulate(rows: list[dict[str, Any]]) -> RichTable:
    table = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)
    for head in ("", "model", "champion", "age", "last run"):
        table.add_column(head, no_wrap=head in ("", "model", "age"))
    for row in rows:
        mark, style = MARKS[_judge(row)]
        champion = row["champion"] or row["champion_on_sample"]
        age = "" if champion is None else format_age(champion["age_days"])
        cells = (mark, row["model"], _name_champion(row), age, row["outcome"])
        table.add_row(*(Text(cell, style if n in (0, 4) else "") for n, cell in enumerate(cells)))
    return table


def _judge(row: Mapping[str, Any]) -> str:
    """The state of a model; see `MARKS`."""
    outcome = row["outcome"]
    if outcome.startswith(("failed", "running")):
        return str(outcome.split()[0])
    champions = [champion for _title, champion in _list_champions(row)]
    if outcome.startswith("interrupted") or any(map(_needs_person, champions)):
        return "attention"
    return "never" if outcome == "never run" and not champions else "good"


def _needs_person(champion: Mapping[str, Any]) -> bool:
    return any(champion[name] for name in ("held", "frozen", "problem", "remarks"))


def _name_champion(row: Mapping[str, Any]) -> str:
    """The champion's version and figure; that of the sample where there is no other."""
    for champion, note in ((row["champion"], ""), (row["champion_on_sample"], " (sample)")):
        if champion and champion["alias"]:
            figure = format_cell(champion["figure"])
            metric = name_metric(champion["metric"], row["unit"])
            shown = f": {metric} {figure} {row['unit']}".rstrip() if figure else ""
            return f"{champion['alias']}{note}{shown}"
    scopes = len(row["scopes"])
    return f"of {scopes} scope{'s' if scopes > 1 else ''}" if scopes else "none"


def format_age(days: float | None) -> str:
    """An age in its largest unit: "40 min", "5 h", "12 d"; "" where it is not known."""
    if days is None:
        return ""
    seconds = days * DAY_S
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S:.0f} min"
    return f"{seconds // HOUR_S:.0f} h" if seconds < DAY_S else f"{seconds // DAY_S:.0f} d"


def _list_champions(row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The champions of a model, each with its name for people."""
    named = {"": row["champion"], "on the sample": row["champion_on_sample"], **row["scopes"]}
    for scope, champion in named.items():
        if champion:
            yield f"{row['model']}, {scope}" if scope else row["model"], champion


def _print_run(row: Mapping[str, Any]) -> None:
    if row["last_run"]:
        since = datetime.now(UTC) - datetime.fromisoformat(row["last_run_at"])
        age = format_age(since.total_seconds() / DAY_S)
        number = shorten_id(row["last_run"])
        print_text(f"\n  last run: {number}, {age} ago, on {row['data']} data")


def _print_champion(title: str, champion: Mapping[str, Any], *, in_full: bool) -> None:
    """What a champion needs of a person; in full also the last decision."""
    if in_full:
        print_text(f"  {title}: {champion['reason']}")
    if champion["frozen"]:
        print_text(f"  {title} is frozen: {champion['frozen']}")
    newest = max((held["version"] for held in champion["held"]), default=0)
    for held in champion["held"]:
        ref = ChampionRef.parse(held["model"])
        newer = f"; version {newest} is newer" if held["version"] < newest else ""
        print_text(f"  {title}: {held['reason']}{newer}")
        for act in ("approve", "reject"):
            asked = f"{ref.model} {held['version']}{ref.options} --why REASON"
            print_command(f"    regrow {act} {asked}")
    problems = [f"{title}: {champion['problem']}"] if champion["problem"] else []
    for remark in [*problems, *champion["remarks"]]:
        print_text(f"  {remark}", "yellow")
