"""The commands that do something: run, predict, rollback."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regrow.cli.options import (
    DataVersions,
    Json,
    Model,
    Sample,
    Scope,
    build_request,
    parse_pools,
)
from regrow.cli.output import console, errors, print_json, print_table, progress_bars
from regrow.engine.config import (
    DataChoice,
    RunRequest,
    Settings,
    flatten,
    parse_overrides,
    read_environment,
)
from regrow.engine.errors import UserError
from regrow.engine.pipeline import Pipeline, Stage, StageRef
from regrow.engine.progress import report
from regrow.engine.runs import run_stages
from regrow.models import get_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_EXAMPLES = (
    "Examples: [bold]regrow run air-quality[/]   [bold]regrow run air-quality --sample[/]   "
    "[bold]regrow run air-quality --on train=gpu[/]   "
    "[bold]regrow run air-quality --preset book --set seeds=1[/]   "
    "[bold]regrow run air-quality --source air-quality=AirQualityUCI.csv --json[/]   "
    "[bold]regrow run --all --or-sample[/]"
)
SWEEP_EXAMPLES = (
    "Examples: [bold]regrow sweep question-answering --over 'tasks=[[1],[2],[3]]'[/]   "
    "[bold]regrow sweep stacked-autoencoder --over 'code_size=[2,4,8]' --workers 2[/]"
)
PREDICT_EXAMPLES = (
    "Examples: [bold]regrow predict air-quality readings.csv -o benzene.parquet[/]   "
    "[bold]regrow predict image-similarity a.png b.png[/]   "
    "[bold]regrow predict digit-localisation *.png --json[/]   "
    "[bold]regrow predict air-quality incoming/ -o predictions/[/]"
)
ROLLBACK_EXAMPLES = (
    "Examples: [bold]regrow rollback air-quality[/]   [bold]regrow rollback air-quality 3[/]"
)
MAX_WARNINGS = 5
# Set before the libraries are imported, and only where the user has not chosen otherwise.
QUIET_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # Its default of 20 s is too short for a first start on a small machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.command("run", epilog=RUN_EXAMPLES)(run)
    app.command("sweep", epilog=SWEEP_EXAMPLES)(sweep)
    app.command("predict", epilog=PREDICT_EXAMPLES)(predict)
    app.command("rollback", epilog=ROLLBACK_EXAMPLES)(rollback)


def run(
    model: Annotated[
        str | None, typer.Argument(help="The model's name, as regrow list shows it.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="A named set of settings.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeatable."),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME=PATH", help="Use a file of your own for a source."),
    ] = None,
    versions: DataVersions = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE=POOL",
            help="Send a stage to a work pool (gpu,here: to the next on failure); repeatable.",
        ),
    ] = None,
    sample: Sample = False,
    or_sample: Annotated[
        bool, typer.Option("--or-sample", help="Use the sample if no place has the real data.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Every model; what fails does not stop the others.")
    ] = False,
    prefect: Annotated[
        bool, typer.Option(help="Run as a Prefect flow, or the stages alone with no server.")
    ] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log.")] = False,
    as_json: Json = False,
) -> None:
    """Downloads, cleans, validates, trains, evaluates and publishes one model, or all.

    Stages whose inputs, settings and code are unchanged are found in the store. Data come from
    REGROW_MIRROR, if it is set, then from the addresses in data/sources.toml.
    """
    prepare_terminal(verbose=verbose)
    data: DataChoice = "sample" if sample else "real-or-sample" if or_sample else "real"
    if every or model is None:
        from regrow.cli.many import run_all

        _check_all(model, every, bool(overrides or sources or not prefect))
        run_all(preset, data, as_json=as_json)
        return
    spec = get_spec(model)
    request = build_request(spec, preset, overrides, sources, data, versions)
    pools = parse_pools(on or [])
    if pools and not prefect:
        raise UserError("--on needs Prefect", where="--no-prefect", remedies=["leave one out"])
    settings = read_environment()
    pipeline = Pipeline(spec, request, settings)
    with progress_bars():
        refs = (
            _run_flow(request, settings, pools)
            if prefect
            else run_stages(pipeline, _direct(pipeline))
        )
    summary = summarise(pipeline, refs)
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary)


def sweep(
    model: Model,
    over: Annotated[
        str, typer.Option(metavar="NAME=[V1,V2,...]", help="The setting, and a list of its values.")
    ],
    preset: Annotated[str | None, typer.Option(help="A named set of settings.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting of all runs."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Runs at a time.")] = 2,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="local|ADDRESS",
            help="On a Dask cluster: one of this machine, or a scheduler's.",
        ),
    ] = None,
    sample: Sample = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log.")] = False,
    as_json: Json = False,
) -> None:
    """Runs a model once for each of several values of a setting, each in a process of its own.

    Every run goes through the six stages and is found in the store the next time.
    """
    prepare_terminal(verbose=verbose)
    from regrow.cli.many import print_jobs
    from regrow.engine.sweep import SweepRequest, list_sweep

    [(name, values)] = flatten(parse_overrides([over])).items()
    if not isinstance(values, list) or not values:
        raise UserError(
            "the values of a sweep are a list",
            where="--over",
            received=over,
            expected="for example --over 'seeds=[1,3,5]'",
        )
    request = SweepRequest(
        model=get_spec(model).name,
        setting=name,
        values=values,
        preset=preset,
        overrides=parse_overrides(overrides or []),
        sample=sample,
        workers=workers,
    )
    list_sweep(get_spec(model), request)  # what is wrong is said before a server is started
    module = import_flows("sweep", read_environment())
    with progress_bars():
        flow = module.sweep.with_options(task_runner=module.make_runner(workers, dask))
        state = flow(request, return_state=True)
    print_jobs(state, as_json=as_json)


def predict(
    model: Model,
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Files: data in the source's own format, or pictures; or a folder."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write .csv or .parquet; for a folder, a folder."),
    ] = None,
    version: Annotated[int | None, typer.Option(help="A version other than the champion.")] = None,
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Answers for new inputs with the champion model.

    Of a folder, everything that has no output yet is predicted, each file once by its content. What
    belongs together, such as pictures to compare, is a folder within.
    """
    prepare_terminal()
    spec = get_spec(model)
    if len(inputs) == 1 and inputs[0].is_dir():
        from regrow.cli.many import predict_all

        how = {"version": version, "scope": scope, "sample": sample}
        predict_all(spec, inputs[0], output, how, as_json=as_json)
        return
    for path in inputs:
        if not path.is_file():
            raise UserError(
                "there is no such file to predict from", where=str(path), expected="a file"
            )
    if output and output.suffix not in (".csv", ".parquet"):
        raise UserError(
            "predictions are written as CSV or Parquet",
            where="--output",
            received=str(output),
            expected="a name that ends in .csv or .parquet",
        )
    from regrow.engine.predict import predict_files, write_frame

    frame, used = predict_files(
        spec, read_environment(), inputs, version=version, sample=sample, scope=scope
    )
    if output:
        write_frame(frame, output)
        errors.print(f"{len(frame)} predictions by {used} written to {output}", markup=False)
    elif as_json:
        print_json({"model": used, "predictions": frame.to_dict(orient="records")})
    else:
        frame.to_csv(sys.stdout, index=False)


def rollback(
    model: Model,
    version: Annotated[
        int | None, typer.Argument(help="The version to go back to [default: the one before].")
    ] = None,
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Makes an earlier version the champion again, after it was loaded and run."""
    prepare_terminal()
    from dataclasses import asdict

    from regrow.engine.notify import notice_champion, send_webhook
    from regrow.engine.publish import open_registry

    registry = open_registry(get_spec(model), read_environment(), sample=sample, scope=scope)
    decision = registry.rollback(version)
    send_webhook(notice_champion(decision))
    if as_json:
        print_json(asdict(decision))
    else:
        console.print(decision.reason, markup=False)


def prepare_terminal(*, verbose: bool = False) -> None:
    """No telemetry from our dependencies, and their logs off the terminal unless asked for."""
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if verbose:
        return
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # TensorFlow's Python part warns of compiling each of several small models anew.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    divert_native_output(read_environment().home / "native.log")


def divert_native_output(log: Path) -> None:
    """Sends what compiled libraries write to standard error into a file; Python's stays.

    TensorFlow reports the absence of a GPU there at every start, before any of its settings counts.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    # Python goes on writing to the terminal through a descriptor of its own.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 2)


def summarise(pipeline: Pipeline, refs: Mapping[Stage, StageRef]) -> dict[str, Any]:
    """What a finished run amounts to, as plain JSON."""
    published = pipeline.entry(refs["publish"])
    return {
        "model": pipeline.spec.name,
        "preset": pipeline.request.preset,
        "stages": [ref.model_dump() for ref in refs.values()],
        **published.facts,
    }


def _check_all(model: str | None, every: bool, more: bool) -> None:
    if every and model is None and not more:
        return
    raise UserError(
        "run takes a model, or --all with none of --set, --source and --no-prefect"
        if every
        else "run needs a model, or --all",
        received=f"{model or 'no model'}{' and --all' if every else ''}",
        remedies=["regrow run air-quality", "regrow run --all --preset quick"],
    )


def _direct(pipeline: Pipeline) -> Any:
    return lambda stage, inputs: pipeline.run_stage(stage, inputs, report)


def _run_flow(
    request: RunRequest, settings: Settings, on: Mapping[str, str]
) -> dict[Stage, StageRef]:
    """Runs the model's flow in this process, on the server of PREFECT_API_URL or one of its own."""
    name = request.model.replace("-", "_")
    flow = getattr(import_flows(name, settings), name)
    refs: dict[Stage, StageRef] = flow(
        preset=request.preset,
        config=request.config,
        data=request.data,
        sources={key: str(path) for key, path in request.sources.items()},
        **({"versions": request.versions} if request.versions else {}),
        **({"on": dict(on)} if on else {}),
    )
    return refs


def import_flows(name: str, settings: Settings) -> Any:
    """A module of the flows, which are no part of the package.

    Raises:
        UserError: PREFECT_API_URL names a server that does not answer or refuses.
    """
    # As in the deployments: who is heard of every 3 minutes only is soon taken for dead.
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")
    sys.path.insert(0, str(settings.project))
    module = importlib.import_module(f"flows.{name}")
    if os.environ.get("PREFECT_API_URL") and name != "deploy":  # which asks by itself
        importlib.import_module("flows.deploy").check_server()
    return module


def _print_summary(summary: dict[str, Any]) -> None:
    stages = [
        [ref["stage"], "cached" if ref["cached"] else "done", f"{ref['seconds']:.1f} s"]
        for ref in summary["stages"]
    ]
    print_table(f"{summary['model']} ({summary['preset']})", ["stage", "", "time"], stages)
    if summary["data_kind"] == "sample":
        console.print(
            "\n[yellow]trained on the shipped sample: its figures say nothing about real data[/]"
        )
    for table in summary["tables"]:
        console.print()
        print_table(table["title"], table["columns"], table["rows"])
    if summary["warnings"]:
        console.print(f"\n[yellow]{len(summary['warnings'])} warnings about the data:[/]")
        for warning in summary["warnings"][:MAX_WARNINGS]:
            console.print(f"  {warning}", markup=False, soft_wrap=True)
    console.print(f"\n{summary['decision']['reason']}", markup=False, soft_wrap=True)
    console.print(f"report: {summary['report']}", markup=False, soft_wrap=True)
