"""`regrow sweep`: trials of one model with other settings; the best of them goes to the gate."""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.options import (
    ConfigFile,
    Json,
    Model,
    Overrides,
    Preset,
    Sample,
    Verbose,
    read_changes,
)
from regrow.cli.output import console, print_json, print_table, progress_bars, tell
from regrow.cli.terminal import prepare_terminal
from regrow.pipeline.request import flatten, parse_overrides
from regrow.prefect.session import use_server

EXAMPLES = (
    "Examples: [bold]regrow sweep question-answering --over 'tasks=[[1],[2],[3]]'[/]   "
    "[bold]regrow sweep stacked-autoencoder --over 'noise=[0,0.2]' --over 'batch_size=[32,64]'[/] "
    "[bold]regrow sweep stacked-autoencoder --over learning_rate=0.0001..0.01:log --random 20[/]   "
    "[bold]regrow sweep stacked-autoencoder --over learning_rate=0.0001..0.01:log --optuna 30 "
    "--budget 20m[/]"
)
RANGE = re.compile(r"(?P<low>[^.\s]+(\.\d+)?)\.\.(?P<high>[^:]+?)(?P<log>:log)?")
DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[smh])")
SECONDS = {"s": 1, "m": 60, "h": 3600}

Over = Annotated[
    list[str],
    typer.Option(
        metavar="NAME=[V1,V2,...]",
        help="A setting and its values; repeat to try every combination. With --random and "
        "--optuna, a range is also possible: NAME=LOW..HIGH or NAME=LOW..HIGH:log.",
    ),
]
AtRandom = Annotated[
    int | None,
    typer.Option("--random", metavar="N", min=1, help="Try N random combinations."),
]
ByOptuna = Annotated[
    int | None,
    typer.Option(
        "--optuna",
        metavar="N",
        min=1,
        help="Try N combinations proposed by Optuna, and stop unpromising ones early.",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(metavar="20m", help="Start no further trials after this time (s, m or h)."),
]
Metric = Annotated[
    str, typer.Option(help="The validation metric that ranks the trials, such as val_accuracy.")
]
Maximize = Annotated[
    bool, typer.Option("--maximize", help="Larger values of the metric are better.")
]
Publish = Annotated[
    bool, typer.Option(help="Run the best trial to the end, so that the gate judges it.")
]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Number of parallel runs.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random choices.")]
DaskCluster = Annotated[
    str | None,
    typer.Option(
        metavar="local|ADDRESS",
        help="Run on a Dask cluster: on this machine, or at the address of a scheduler.",
    ),
]

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def sweep(
    model: Model,
    over: Over,
    at_random: AtRandom = None,
    by_optuna: ByOptuna = None,
    budget: Budget = None,
    metric: Metric = "val_loss",
    maximize: Maximize = False,
    seed: Seed = 0,
    publish: Publish = True,
    preset: Preset = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    workers: Workers = 2,
    dask: DaskCluster = None,
    sample: Sample = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Trains a model with different settings; the gate judges the best trial.

    Each trial runs in a separate process and ends after training. Trials are ranked on validation
    data; they do not use test data and are not registered. Finished trials are found in the store.
    The best trial is run to the end. To resume a killed Optuna search, run the same command again.
    """
    prepare_terminal(verbose=verbose)
    from regrow.operations.sweep import SweepRequest, check_sweep

    spec = get_spec(model)
    if at_random and by_optuna:
        raise UserError(
            "--random and --optuna cannot be combined",
            where="--random, --optuna",
            expected="one of them",
        )
    request = SweepRequest(
        model=spec.name,
        over=parse_over(over),
        method="random" if at_random else "optuna" if by_optuna else "grid",
        trials=at_random or by_optuna,
        budget_s=None if budget is None else parse_duration(budget),
        metric=metric,
        direction="maximize" if maximize else "minimize",
        seed=seed,
        publish=publish,
        preset=preset,
        overrides=read_changes(config, overrides),
        sample=sample,
        workers=workers,
    )
    check_sweep(spec, request)  # reports wrong settings before a server is started
    if by_optuna:
        _check_search(dask)
    with progress_bars(), use_server(read_environment(), tell):
        from regrow.prefect.run import run_flow
        from regrow.prefect.sweep import make_runner
        from regrow.prefect.sweep import sweep as sweep_flow

        flow = sweep_flow.with_options(task_runner=make_runner(workers, dask))
        state = run_flow(flow, request, return_state=True)
    _print(state, as_json=as_json)


def _print(state: Any, *, as_json: bool) -> None:
    """Prints the trials and what was published.

    Raises:
        UserError: some runs failed.
        Exception: the error that stopped the flow before it had a table.
    """
    table = state.result(raise_on_failure=False)
    if isinstance(table, BaseException):
        raise table
    published = table["published"]
    if as_json:
        print_json(table)
    else:
        print_table(table["title"], table["columns"], table["rows"])
        if table["not_started"]:
            console.print(f"{table['not_started']} were not started within the time budget")
        if published:
            console.print()
            print_table(published["title"], published["columns"], published["rows"])
    if table["failed"]:
        runs = [*table["runs"].values(), *(published["runs"].values() if published else ())]
        raise UserError(
            f"{table['failed']} of {len(runs)} runs failed",
            received="\n".join(text for text in runs if isinstance(text, str)),
            remedies=[
                "fix the errors above and run the same command again; finished trials are kept"
            ],
        )


def _check_search(dask: str | None) -> None:
    from regrow.operations.search import check_optuna

    if dask is not None:
        raise UserError(
            "an Optuna search can only run on this machine",
            where="--dask",
            received=dask,
            remedies=["leave --dask out", "or --random N, which can run on a cluster"],
        )
    check_optuna()


def parse_over(over: list[str]) -> dict[str, Any]:
    """Turns each "NAME=[V1,V2,...]" or "NAME=LOW..HIGH" into a name and its values or range.

    Raises:
        UserError: it is neither, or a setting is given twice.
    """
    found: dict[str, Any] = {}
    for one in over:
        given = flatten(parse_overrides([one]))
        [(name, values)] = given.items() if len(given) == 1 else [("", None)]
        if name in found:
            raise UserError(
                f"the setting {name} is given twice",
                where="--over",
                received=", ".join(over),
                remedies=[f"give all values in one list: --over '{name}=[1,2,3]'"],
            )
        if isinstance(values, str) and (match := RANGE.fullmatch(values)):
            found[name] = _parse_range(one, match)
        elif isinstance(values, list) and values:
            found[name] = values
        else:
            raise UserError(
                "--over requires a list of values or a range",
                where="--over",
                received=one,
                expected="for example --over 'noise=[0,0.2]' or --over noise=0..0.2",
            )
    return found


def _parse_range(text: str, match: re.Match[str]) -> Any:
    from regrow.operations.sweep import Range

    try:
        ends = [tomllib.loads(f"x = {match[side]}")["x"] for side in ("low", "high")]
        if not all(type(end) in (int, float) for end in ends):
            raise ValueError("the limits are not numbers")
        return Range(low=ends[0], high=ends[1], log=bool(match["log"]))
    except (ValueError, tomllib.TOMLDecodeError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise UserError(
            "this is not a range of numbers",
            where="--over",
            received=f"{text}: {why}",
            expected="for example 16..128, or 0.001..0.1:log",
        ) from None


def parse_duration(text: str) -> float:
    """Turns "90s", "20m" or "1.5h" into seconds.

    Raises:
        UserError: it is none of these, or no time at all.
    """
    match = DURATION.fullmatch(text.strip())
    seconds = float(match["number"]) * SECONDS[match["unit"]] if match else 0.0
    if not seconds:
        raise UserError(
            "the budget must be a duration",
            where="--budget",
            received=text,
            expected="a number and s, m or h, such as 90s or 20m",
        )
    return seconds
