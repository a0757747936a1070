"""Options that several commands share, and their conversion to a run request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regrow.base.addresses import read_path
from regrow.base.errors import UserError
from regrow.base.spec import ModelSpec
from regrow.pipeline.request import (
    DataChoice,
    RunRequest,
    make_request,
    merge,
    parse_overrides,
)
from regrow.pipeline.settings_layers import read_settings_file
from regrow.pipeline.stages import check_stages

Model = Annotated[str, typer.Argument(help="The name of the model; see regrow list.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for scripts.")]
Sample = Annotated[
    bool, typer.Option("--sample", help="Use the shipped sample instead of real data.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log.")]
Version = Annotated[int | None, typer.Option(help="The version to use. [default: the champion]")]
Scope = Annotated[
    str, typer.Option(help="The scope of the champion, such as qa02; see regrow status.")
]
Preset = Annotated[str | None, typer.Option(help="A named set of settings; see regrow list.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeatable."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A TOML or YAML file with settings; --set takes precedence.",
    ),
]
SourceFiles = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME=PATH", help="Use your own file for a source."),
]

DATA_VERSION = "air-quality=13277ae5"
DataVersions = Annotated[
    list[str] | None,
    typer.Option(
        "--data-version",
        metavar="NAME=DIGEST",
        help="Use an earlier version of a source, or leave it out if it is optional (absent).",
    ),
]


def build_request(
    spec: ModelSpec,
    preset: str | None,
    overrides: list[str] | None,
    sources: list[str] | None,
    data: DataChoice,
    versions: list[str] | None = None,
    config: Path | None = None,
) -> RunRequest:
    """The run that the options of one command line ask for.

    Raises:
        UserError: options that exclude each other, or an unknown source, preset or setting.
    """
    local = dict(parse_source_list(sources or []))
    if local and data == "sample":
        raise UserError(
            "--sample and --source cannot be combined",
            expected="either the shipped sample or your own file",
        )
    return make_request(
        spec,
        preset=preset,
        overrides=read_changes(config, overrides),
        data=data,
        sources=local,
        versions=dict(parse_pairs(versions or [], "--data-version", DATA_VERSION)),
    )


def read_changes(config: Path | None, overrides: list[str] | None) -> dict[str, Any]:
    """The settings of --config, and those of --set over them.

    Raises:
        UserError: the file cannot be used, or a setting is not given as NAME=VALUE.
    """
    stated = read_settings_file(config) if config else {}
    return merge(stated, parse_overrides(overrides or []))


def parse_source_list(pairs: list[str]) -> list[tuple[str, Path]]:
    """Turns "NAME=PATH" pairs into sources' names and files, in the order given."""
    files = parse_pairs(pairs, "--source", "air-quality=AirQualityUCI.csv")
    return [(name, read_path(path, f"--source {name}")) for name, path in files]


def parse_pools(pairs: list[str]) -> dict[str, str]:
    """Turns "STAGE=POOL" pairs into work pools by stage."""
    pools = dict(parse_pairs(pairs, "--on", "train=gpu"))
    check_stages(pools)
    return pools


def parse_pairs(pairs: list[str], option: str, example: str) -> list[tuple[str, str]]:
    """Turns "NAME=VALUE" pairs of an option into names and values, in the order given."""
    found: list[tuple[str, str]] = []
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise UserError(
                f"{option} requires a name and a value",
                where=option,
                received=pair,
                expected=f"for example {option} {example}",
            )
        found.append((name, value))
    return found
