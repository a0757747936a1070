"""`regrow run`: one model from download to publish, or all models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from regrow.base.errors import UserError
from regrow.base.project import get_spec, list_models, load_specs
from regrow.base.settings import read_environment
from regrow.cli import options
from regrow.cli.output import (
    console,
    print_command,
    print_figures,
    print_jobs,
    print_json,
    print_table,
    print_text,
    progress_bars,
    tell,
)
from regrow.cli.terminal import prepare_terminal
from regrow.operations.next_steps import list_next
from regrow.pipeline.fetch_ahead import fetch_ahead
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import DataChoice
from regrow.pipeline.runs import run_directly, run_unchanged, summarize_run
from regrow.prefect.session import has_server, use_server
from regrow.report.evaluation import Table

EXAMPLES = (
    "Examples: [bold]regrow run air-quality[/]   [bold]regrow run air-quality --sample[/]   "
    "[bold]regrow run air-quality --on train=gpu[/]   "
    "[bold]regrow run air-quality --preset book --set seeds=1[/]   "
    "[bold]regrow run air-quality --source air-quality=AirQualityUCI.csv --json[/]   "
    "[bold]regrow run --all --or-sample[/]"
)
MAX_WARNINGS = 5
# How the gate's decision is printed.
STYLES = {"first": "green", "promoted": "green", "held": "yellow", "refused": "red"}

OptionalModel = Annotated[
    str | None, typer.Argument(help="The name of the model; see regrow list.")
]
Pools = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAGE=POOL",
        help="Run a stage in a work pool (gpu,here: try the next place on failure); repeatable.",
    ),
]
OrSample = Annotated[
    bool, typer.Option("--or-sample", help="Use the sample if the real data is not available.")
]
Every = Annotated[
    bool, typer.Option("--all", help="Run every model; a failed model does not stop the others.")
]
WithPrefect = Annotated[
    bool, typer.Option(help="Run as a Prefect flow, or run the stages without a server.")
]

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def run(
    model: OptionalModel = None,
    preset: options.Preset = None,
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    sources: options.SourceFiles = None,
    versions: options.DataVersions = None,
    on: Pools = None,
    sample: options.Sample = False,
    or_sample: OrSample = False,
    every: Every = False,
    prefect: WithPrefect = True,
    verbose: options.Verbose = False,
    as_json: options.Json = False,
) -> None:
    """Downloads, cleans, validates, trains, evaluates and publishes one model, or all.

    Stages whose inputs, settings and code are unchanged are found in the store. Data is read from
    REGROW_MIRROR, if it is set, then from the addresses in data/sources.toml.
    """
    prepare_terminal(verbose=verbose)
    data: DataChoice = "sample" if sample else "real-or-sample" if or_sample else "real"
    if every or model is None:
        _check_all(model, every, bool(config or overrides or sources or not prefect))
        _run_all(preset, data, as_json=as_json)
        return
    spec = get_spec(model)
    request = options.build_request(spec, preset, overrides, sources, data, versions, config)
    pools = options.parse_pools(on or [])
    if pools and not prefect:
        raise UserError("--on needs Prefect", where="--no-prefect", remedies=["leave one out"])
    settings = read_environment()
    summary = _run_one(Pipeline(spec, request, settings), pools, prefect=prefect)
    summary["next"] = list_next(spec, summary, settings)
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary)


def _check_all(model: str | None, every: bool, more: bool) -> None:
    if every and model is None and not more:
        return
    raise UserError(
        "--all cannot be combined with a model, --config, --set, --source or --no-prefect"
        if every
        else "either a model or --all is required",
        received=f"{model or 'no model'}{' and --all' if every else ''}",
        remedies=["regrow run air-quality", "regrow run --all --preset quick"],
    )


def _run_one(pipeline: Pipeline, pools: Mapping[str, str], *, prefect: bool) -> dict[str, Any]:
    pipeline.check()
    url, keeps_runs = None, has_server()
    refs = run_unchanged(pipeline) if prefect and not pools and not keeps_runs else None
    if refs is None and prefect:
        with progress_bars(), use_server(pipeline.settings, tell, partial(fetch_ahead, pipeline)):
            from regrow.prefect.run import run_request

            refs, url = run_request(pipeline.request, pools)
    elif refs is None:
        with progress_bars():
            refs = run_directly(pipeline)
    # A server that was started for this run has ended with it.
    return {**summarize_run(pipeline, refs), "prefect_url": url if keeps_runs else None}


def _run_all(preset: str | None, data: DataChoice, *, as_json: bool) -> None:
    """Runs every model; a failed model does not stop the others.

    Raises:
        UserError: some models failed.
    """
    from regrow.operations.retraining import list_retraining

    specs, errors = load_specs(list_models())
    list_retraining(specs, preset=preset, data=data)
    with progress_bars(), use_server(read_environment(), tell):
        from regrow.prefect.retrain_all import retrain_all
        from regrow.prefect.run import run_flow

        names = [spec.name for spec in specs]
        state = run_flow(retrain_all, models=names, preset=preset, data=data, return_state=True)
    print_jobs(state, as_json=as_json)
    for error in errors.values():
        raise error


def _print_summary(summary: dict[str, Any]) -> None:
    stages = [
        [ref["stage"], _state_result(ref), f"{ref['seconds']:.1f} s"] for ref in summary["stages"]
    ]
    print_table(f"{summary['model']} ({summary['preset']})", ["stage", "", "time"], stages)
    if summary["data_kind"] == "sample":
        console.print(
            "\n[yellow]trained on the shipped sample: the metrics say nothing about real data[/]"
        )
    for table in summary["tables"]:
        console.print()
        print_figures(Table.model_validate(table))
    if summary["warnings"]:
        console.print(f"\n[yellow]{len(summary['warnings'])} warnings about the data:[/]")
        for warning in summary["warnings"][:MAX_WARNINGS]:
            print_text(f"  {warning}")
    decision = summary["decision"]
    print_text(f"\n{decision['reason']}", STYLES.get(decision["action"], ""))
    for remark in summary["remarks"]:
        print_text(remark, "yellow")
    console.print("\nnext:", style="bold")
    for command in summary["next"]:
        print_command(f"  {command}")
    links = {"report": summary["report"], "Prefect": summary["prefect_url"]}
    if str(summary["report_url"]).startswith("http"):
        links["report in the browser"] = summary["report_url"]
    for name, link in links.items():
        if link:
            print_command(f"{name}: {link}")


def _state_result(ref: dict[str, Any]) -> str:
    made = f"done on {ref['place']}" if ref["place"] else "done"
    return "cached" if ref["cached"] else made
