"""Options that several commands share, and how they become a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regrow.engine.config import DataChoice, RunRequest, make_request, parse_overrides
from regrow.engine.errors import UserError
from regrow.engine.pipeline import check_stages
from regrow.engine.spec import ModelSpec

Model = Annotated[str, typer.Argument(help="The model's name, as regrow list shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for scripts.")]
Sample = Annotated[bool, typer.Option("--sample", help="Use the shipped sample, not real data.")]

Scope = Annotated[
    str, typer.Option(help="Which of the model's champions, such as qa02; see regrow status.")
]

DATA_VERSION = "air-quality=13277ae5"
DataVersions = Annotated[
    list[str] | None,
    typer.Option(
        "--data-version", metavar="NAME=DIGEST", help="A source at an earlier version of its data."
    ),
]


def build_request(
    spec: ModelSpec,
    preset: str | None,
    overrides: list[str] | None,
    sources: list[str] | None,
    data: DataChoice,
    versions: list[str] | None = None,
) -> RunRequest:
    """Puts the options of one command line together."""
    local = parse_sources(sources or [])
    if local and data == "sample":
        raise UserError(
            "--sample and --source exclude each other",
            expected="the shipped sample, or a file of your own",
        )
    return make_request(
        spec,
        preset=preset,
        overrides=parse_overrides(overrides or []),
        data=data,
        sources=local,
        versions=dict(parse_pairs(versions or [], "--data-version", DATA_VERSION)),
    )


def parse_sources(pairs: list[str]) -> dict[str, Path]:
    """Turns "NAME=PATH" pairs into local files by source name."""
    return dict(parse_source_list(pairs))


def parse_source_list(pairs: list[str]) -> list[tuple[str, Path]]:
    """Turns "NAME=PATH" pairs into sources' names and files, in the order given."""
    files = parse_pairs(pairs, "--source", "air-quality=AirQualityUCI.csv")
    return [(name, Path(path)) for name, path in files]


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
                f"{option} is given with a name and a value",
                where=option,
                received=pair,
                expected=f"for example {option} {example}",
            )
        found.append((name, value))
    return found
