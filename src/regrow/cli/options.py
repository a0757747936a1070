"""Options that several commands share, and how they become a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regrow.engine.config import DataChoice, RunRequest, make_request, parse_overrides
from regrow.engine.errors import UserError
from regrow.engine.spec import ModelSpec

Model = Annotated[str, typer.Argument(help="The model's name, as regrow list shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for scripts.")]
Sample = Annotated[bool, typer.Option("--sample", help="Use the shipped sample, not real data.")]

Scope = Annotated[
    str, typer.Option(help="Which of the model's champions, such as qa02; see regrow status.")
]


def build_request(
    spec: ModelSpec,
    preset: str | None,
    overrides: list[str] | None,
    sources: list[str] | None,
    data: DataChoice,
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
    )


def parse_sources(pairs: list[str]) -> dict[str, Path]:
    """Turns "NAME=PATH" pairs into local files by source name."""
    return dict(parse_source_list(pairs))


def parse_source_list(pairs: list[str]) -> list[tuple[str, Path]]:
    """Turns "NAME=PATH" pairs into sources' names and files, in the order given."""
    files: list[tuple[str, Path]] = []
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator or not path:
            raise UserError(
                "a local source must be given as NAME=PATH",
                where="--source",
                received=pair,
                expected="for example --source air-quality=AirQualityUCI.csv",
            )
        files.append((name, Path(path)))
    return files
