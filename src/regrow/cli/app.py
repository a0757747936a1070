"""The commands that only look: list, status, why, log, doctor. They import no heavy library."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regrow.cli import act, bundle, many, operate, sentences, server
from regrow.cli.ask import ASK_EXAMPLES, ask
from regrow.cli.dream import DREAM_EXAMPLES, dream
from regrow.cli.options import DataVersions, Json, Model, Sample, Scope, build_request
from regrow.cli.output import console, print_json, print_table
from regrow.cli.stylize import STYLIZE_EXAMPLES, stylize
from regrow.engine.config import (
    DataChoice,
    decisions_path,
    effective_preset,
    flatten,
    list_scopes,
    read_environment,
    registered_name,
)
from regrow.engine.gate import read_decisions
from regrow.engine.pipeline import Pipeline
from regrow.engine.runs import last_run
from regrow.engine.why import explain_stages
from regrow.models import get_spec, list_models

app = typer.Typer(
    help="Train, check and publish Keras models, and train them again when their data changes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: [bold]regrow run air-quality[/], then [bold]regrow status[/]",
)
act.register(app)
many.register(app)
operate.register(app)
server.register(app)
sentences.register(app)
app.add_typer(bundle.app, name="bundle")
app.command("ask", epilog=ASK_EXAMPLES)(ask)
app.command("dream", epilog=DREAM_EXAMPLES)(dream)
app.command("stylize", epilog=STYLIZE_EXAMPLES)(stylize)


@app.command(
    "list", epilog="Examples: [bold]regrow list[/]   [bold]regrow list air-quality --json[/]"
)
def list_command(
    model: Annotated[
        str | None, typer.Argument(help="Show this model's presets and settings.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Lists the models; with MODEL, its presets and every setting."""
    if model is None:
        specs = [get_spec(name) for name in list_models()]
        rows = [{"model": s.name, "title": s.title, "presets": list(s.presets)} for s in specs]
        if as_json:
            print_json(rows)
        else:
            cells = [[row["model"], row["title"], ", ".join(row["presets"])] for row in rows]
            print_table("models", ["model", "what it does", "presets"], cells)
        return
    spec = get_spec(model)
    usual = flatten(effective_preset(spec, next(iter(spec.presets))))
    what = {name: field.description or "" for name, field in spec.config.model_fields.items()}
    fields = [
        {"setting": name, "default": value, "what": what.pop(name.partition(".")[0], "")}
        for name, value in usual.items()
    ]
    if as_json:
        presets = {name: effective_preset(spec, name) for name in spec.presets}
        print_json({"model": spec.name, "presets": presets, "settings": fields})
        return
    console.print(f"[bold]{spec.name}[/]: {spec.title}\n{spec.description}\n")
    print_table(
        "settings", ["setting", "default", "what"], [list(field.values()) for field in fields]
    )
    changed: list[list[str]] = []
    for name in spec.presets:
        there = flatten(effective_preset(spec, name))
        changes = {key: value for key, value in there.items() if usual.get(key) != value}
        gone = sorted({key.rpartition(".")[0] for key in usual.keys() - there.keys()})
        lines = [f"{key} = {value}" for key, value in changes.items()]
        changed.append(
            [name, "\n".join([*lines, *(f"no {key}" for key in gone)]) or "the defaults"]
        )
    console.print()
    print_table("presets", ["preset", "differs by"], changed)
    console.print("\nChange one with --set NAME=VALUE.", style="dim")


@app.command(epilog="Examples: [bold]regrow status[/]   [bold]regrow status air-quality --json[/]")
def status(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    as_json: Json = False,
) -> None:
    """Shows each model's last run and its champion."""
    settings = read_environment()
    names = [get_spec(model).name] if model else list_models()
    rows: list[dict[str, Any]] = []
    for name in names:
        record = last_run(settings.home, name)
        rows.append(
            {
                "model": name,
                "last_run": record.run_id if record else None,
                "outcome": record.outcome if record else "never run",
                "data": record.request.data if record else None,
                "error": record.error if record else None,
                "champion": _champion(name, "", sample=False),
                "champion_on_sample": _champion(name, "", sample=True),
                "scopes": _champions_by_scope(name),
                "stages": [ref.model_dump() for ref in record.stages.values()] if record else [],
            }
        )
    if as_json:
        print_json(rows)
        return
    cells = [[r["model"], r["last_run"] or "", r["outcome"], _say(r["champion"])] for r in rows]
    print_table("status", ["model", "last run", "outcome", "champion"], cells)
    for row in rows:
        if row["champion_on_sample"]:
            console.print(f"  {row['model']}: on the sample {_say(row['champion_on_sample'])}")
        for scope, champion in row["scopes"].items():
            console.print(f"  {row['model']}, {scope}: {_say(champion)}")
        if row["error"]:
            console.print(f"\n{row['model']} failed:\n{row['error']}", markup=False, soft_wrap=True)


@app.command(
    epilog="Examples: [bold]regrow why air-quality[/]  [bold]regrow why air-quality --sample[/]"
)
def why(
    model: Model,
    preset: Annotated[str | None, typer.Option(help="As in regrow run.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="As in regrow run.")] = None,
    sources: Annotated[list[str] | None, typer.Option("--source", help="As in regrow run.")] = None,
    versions: DataVersions = None,
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Says which stages the next run would do, and what changed since the last one.

    Without options it asks about the last run's settings and data.
    """
    settings = read_environment()
    spec = get_spec(model)
    record = last_run(settings.home, spec.name)
    if record and not (preset or overrides or sources or versions or sample):
        request = record.request
    else:
        data: DataChoice = "sample" if sample else "real"
        request = build_request(spec, preset, overrides, sources, data, versions)
    verdicts = explain_stages(Pipeline(spec, request, settings), record)
    if as_json:
        print_json(verdicts)
        return
    for verdict in verdicts:
        mark = "[green]cached[/]" if verdict["cached"] else "[yellow]will run[/]"
        console.print(f"[bold]{verdict['stage']:<9}[/] {mark}")
        for reason in verdict["reasons"]:
            console.print(f"          {reason}", markup=False, soft_wrap=True)


@app.command(epilog="Example: [bold]regrow log air-quality[/]")
def log(model: Model, scope: Scope = "", sample: Sample = False, as_json: Json = False) -> None:
    """Prints every decision on which version is the champion, oldest first."""
    settings = read_environment()
    name = registered_name(get_spec(model).name, scope, sample=sample)
    decisions = read_decisions(decisions_path(settings.home, name))
    if as_json:
        print_json([_as_dict(decision) for decision in decisions])
        return
    rows = [[d.at, d.action, d.version, d.reason] for d in decisions]
    print_table(f"decisions on {name}", ["when", "action", "version", "why"], rows)


@app.command(epilog="Examples: [bold]regrow doctor[/]   [bold]regrow doctor --json[/]")
def doctor(as_json: Json = False) -> None:
    """Checks versions, backends, disk, the mirror and the servers."""
    from regrow.cli.doctor import examine

    checks = examine(read_environment())
    if as_json:
        print_json(checks)
    else:
        rows = [
            [{"ok": "ok", "warn": "!", "bad": "✗"}[c["level"]], c["check"], c["found"]]
            for c in checks
        ]
        print_table("doctor", ["", "check", "found"], rows)
    if any(check["level"] == "bad" for check in checks):
        raise typer.Exit(1)


def _champion(model: str, scope: str, *, sample: bool) -> dict[str, Any] | None:
    name = registered_name(model, scope, sample=sample)
    decisions = read_decisions(decisions_path(read_environment().home, name))
    return _as_dict(decisions[-1]) if decisions else None


def _champions_by_scope(model: str) -> dict[str, dict[str, Any] | None]:
    """By scope, with ".sample" behind those that the sample trained."""
    home = read_environment().home
    return {
        f"{scope}.sample" if sample else scope: _champion(model, scope, sample=sample)
        for sample in (False, True)
        for scope in list_scopes(home, model, sample=sample)
        if scope
    }


def _say(decision: dict[str, Any] | None) -> str:
    return f"version {decision['champion_after']}: {decision['reason']}" if decision else "none"


def _as_dict(decision: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(decision)
