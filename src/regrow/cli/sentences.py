"""The commands on sentences: their vectors, and the sentences of the corpus that are nearest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regrow.cli.act import prepare_terminal
from regrow.cli.options import Json, Sample
from regrow.cli.output import console, errors, print_json, print_table
from regrow.engine.config import Settings, read_environment
from regrow.engine.errors import UserError
from regrow.models import get_spec

if TYPE_CHECKING:
    from regrow.engine.registry import Registry

MODEL = "sentence-vectors"
EMBED_EXAMPLE = "Example: [bold]regrow embed sentences.txt -o vectors.parquet[/]"
SIMILAR_EXAMPLE = 'Example: [bold]regrow similar "oil prices rose sharply" --count 5[/]'

Version = Annotated[int | None, typer.Option(help="A version other than the champion.")]


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.command("embed", epilog=EMBED_EXAMPLE)(embed)
    app.command("similar", epilog=SIMILAR_EXAMPLE)(similar)


def embed(
    file: Annotated[Path, typer.Argument(help="A text file in UTF-8, a sentence a line.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    version: Version = None,
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Writes the vectors of a file's sentences; of any number of lines, in little memory."""
    prepare_terminal()
    if not file.is_file():
        raise UserError("there is no such file", where=str(file), expected="a text file")
    if output.suffix != ".parquet":
        raise UserError(
            "vectors are written as Parquet",
            where="--output",
            received=str(output),
            expected="a name that ends in .parquet",
        )
    from regrow.engine.predict import load_registered
    from regrow.models.sentence_vectors.predict import embed as write_vectors

    model, used = load_registered(
        get_spec(MODEL), read_environment(), version=version, sample=sample
    )
    count = write_vectors(model, file, output)
    if as_json:
        print_json({"model": used, "sentences": count, "output": str(output)})
    else:
        errors.print(f"{count} vectors by {used} written to {output}", markup=False)


def similar(
    sentence: Annotated[str, typer.Argument(help="A sentence, in quotes.")],
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many to show.")] = 10,
    version: Version = None,
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Finds the sentences of the corpus that are nearest to a sentence, each wording once."""
    prepare_terminal()
    settings = read_environment()
    from regrow.engine.publish import open_registry
    from regrow.models.sentence_vectors.predict import find_similar

    registry = open_registry(get_spec(MODEL), settings, sample=sample)
    number = int(registry.find(version).version)
    clean, evaluated = (
        _find_entry(settings, registry, number, stage) for stage in ("clean", "evaluate")
    )
    found = find_similar(registry.load(number), sentence, clean, evaluated, count)
    used = f"{registry.name} version {number}"
    if as_json:
        print_json({"model": used, "similar": [asdict(one) for one in found]})
        return
    rows = [[f"{one.cosine:.3f}", one.text, ", ".join(one.topics), one.date[:10]] for one in found]
    print_table(f"nearest to {sentence!r}", ["cosine", "sentence", "topics", "sent"], rows)
    console.print(f"by {used}", style="dim", markup=False)


def _find_entry(settings: Settings, registry: Registry, version: int, stage: str) -> Path:
    """The folder of a stage that a version came from.

    Raises:
        UserError: it is no longer in the store of this machine.
    """
    from regrow.engine.shared import open_store

    fingerprint = registry.find(version).tags[f"regrow.fingerprint.{stage}"]
    entry = open_store(settings).find(MODEL, stage, fingerprint)
    if entry is None:
        raise UserError(
            "the corpus of this version is not in the store",
            where=str(settings.home),
            received=f"no whole result of stage {stage} {fingerprint[:12]}",
            remedies=[f"regrow run {MODEL} with the same settings makes it again"],
        )
    return entry.path
