"""`regrow list`, `why` and `log`: they only read, and import no heavy library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from regrow.base.errors import UserError
from regrow.base.project import get_spec, list_models, load_specs
from regrow.base.settings import read_environment
from regrow.base.spec import ModelSpec
from regrow.cli import options
from regrow.cli.output import console, print_json, print_table, print_text
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.records import last_run
from regrow.pipeline.request import (
    DataChoice,
    effective_preset,
    find_origins,
    flatten,
    parse_overrides,
)
from regrow.pipeline.settings_layers import Layer, read_settings_file, variable_prefix
from regrow.pipeline.why import explain_stages
from regrow.registry.gate import read_decisions
from regrow.registry.logs import decision_log
from regrow.registry.names import ChampionRef

app = typer.Typer()


@app.command(
    "list", epilog="Examples: [bold]regrow list[/]   [bold]regrow list air-quality --json[/]"
)
def list_command(
    model: Annotated[
        str | None, typer.Argument(help="Show this model's presets and settings.")
    ] = None,
    preset: options.Preset = None,
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Also list the models that regrow ships.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Lists the models; with MODEL, its presets, its settings and the origin of each value.

    Order of precedence: --set, --config, environment variables, .env, the preset, the default.
    """
    if model is None:
        if preset or config or overrides:
            raise UserError(
                "settings belong to a model",
                where="--preset, --config, --set",
                remedies=["name a model: regrow list air-quality"],
            )
        _list_models(shipped=shipped, as_json=as_json)
        return
    spec = get_spec(model)
    layers = [Layer(str(config), read_settings_file(config))] if config else []
    layers += [Layer("--set", parse_overrides(overrides))] if overrides else []
    _list_settings(spec, find_origins(spec, preset, layers), as_json=as_json)


@app.command(
    epilog="Examples: [bold]regrow why air-quality[/]  [bold]regrow why air-quality --sample[/]"
)
def why(
    model: options.Model,
    preset: options.Preset = None,
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    sources: options.SourceFiles = None,
    versions: options.DataVersions = None,
    sample: options.Sample = False,
    as_json: options.Json = False,
) -> None:
    """Shows which stages the next run would repeat, and what has changed since the last run.

    Without options, it uses the settings and data of the last run.
    """
    settings = read_environment()
    spec = get_spec(model)
    record = last_run(settings.home, spec.name)
    if record and not (preset or config or overrides or sources or versions or sample):
        request = record.request
    else:
        data: DataChoice = "sample" if sample else "real"
        request = options.build_request(spec, preset, overrides, sources, data, versions, config)
    verdicts = explain_stages(Pipeline(spec, request, settings), record)
    if as_json:
        print_json(verdicts)
        return
    if record is None and not any(verdict["cached"] for verdict in verdicts):
        console.print(f"{spec.name} has never run: all {len(verdicts)} stages will run")
        return
    for verdict in verdicts:
        mark = "[green]cached[/]" if verdict["cached"] else "[yellow]will run[/]"
        console.print(f"[bold]{verdict['stage']:<9}[/] {mark}")
        for reason in verdict["reasons"]:
            print_text(f"          {reason}")


@app.command(epilog="Example: [bold]regrow log air-quality[/]")
def log(
    model: options.Model,
    scope: options.Scope = "",
    sample: options.Sample = False,
    as_json: options.Json = False,
) -> None:
    """Prints all decisions about the champion, oldest first."""
    settings = read_environment()
    name = ChampionRef(get_spec(model).name, scope, sample).registered
    decisions = read_decisions(decision_log(settings.home, settings.tracking_uri, name))
    if as_json:
        print_json([asdict(decision) for decision in decisions])
        return
    if not decisions:
        print_text(f"there are no decisions about {name} yet")
        return
    console.print(f"[bold]decisions about {name}[/]", soft_wrap=True)
    for d in decisions:
        line = f"{d.at}  {d.action}, version {d.version}, data {d.data_version}"
        line += f", by {d.by}" if d.by else ""
        print_text(f"{line}\n  {d.reason}")


def _list_models(*, shipped: bool, as_json: bool) -> None:
    specs, errors = load_specs(list_models(shipped=shipped))
    rows: list[dict[str, Any]] = [
        {"model": s.name, "title": s.title, "presets": list(s.presets)} for s in specs
    ]
    if as_json:
        print_json([*rows, *({"model": name, "error": str(e)} for name, e in errors.items())])
        return
    cells = [[row["model"], row["title"], ", ".join(row["presets"])] for row in rows]
    print_table("models", ["model", "description", "presets"], cells)
    for error in errors.values():
        console.print(f"\n{error}", style="yellow", markup=False, soft_wrap=True)


def _list_settings(
    spec: ModelSpec, origins: Mapping[str, tuple[Any, str]], *, as_json: bool
) -> None:
    presets = {name: effective_preset(spec, name) for name in spec.presets}
    defaults = flatten(next(iter(presets.values())))
    what = {name: field.description or "" for name, field in spec.config.model_fields.items()}
    fields = [
        {
            "setting": name,
            "value": value,
            "from": origin,
            "default": defaults.get(name),
            "what": what.pop(name.partition(".")[0], ""),
        }
        for name, (value, origin) in origins.items()
    ]
    if as_json:
        print_json({"model": spec.name, "presets": presets, "settings": fields})
        return
    console.print(spec.name, style="bold", end="")
    print_text(f": {spec.title}\n{spec.description}\n")
    rows = [[field["setting"], field["value"], field["from"], field["what"]] for field in fields]
    print_table("settings", ["setting", "value", "from", "description"], rows)
    console.print()
    changes = [[name, _describe_changes(defaults, flatten(p))] for name, p in presets.items()]
    print_table("presets", ["preset", "changed settings"], changes)
    example = f"{variable_prefix(spec.name)}{next(iter(spec.config.model_fields)).upper()}"
    console.print(
        "\nChange settings with --set NAME=VALUE, --config FILE or variables such as " + example,
        style="dim",
        soft_wrap=True,
    )


def _describe_changes(defaults: dict[str, Any], preset: dict[str, Any]) -> str:
    """How a preset's settings, flattened, differ from the defaults."""
    changed = [f"{key} = {value}" for key, value in preset.items() if defaults.get(key) != value]
    gone = sorted({key.rpartition(".")[0] for key in defaults.keys() - preset.keys()})
    return "\n".join([*changed, *(f"no {key}" for key in gone)]) or "the defaults"
