"""`regrow embed` and `regrow similar`: the sentence vectors of the sentence-vectors model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regrow.base.errors import UserError
from regrow.base.settings import Settings, read_environment
from regrow.cli.options import Json, Sample, Version
from regrow.cli.output import console, print_json, print_table, tell, waiting
from regrow.cli.terminal import prepare_terminal
from regrow.registry.lookup import check_version
from regrow.registry.names import ChampionRef

if TYPE_CHECKING:
    from regrow.registry.versions import Registry

MODEL = "sentence-vectors"
EMBED_EXAMPLE = "Example: [bold]regrow embed sentences.txt -o vectors.parquet[/]"
SIMILAR_EXAMPLE = 'Example: [bold]regrow similar "oil prices rose sharply" --count 5[/]'

app = typer.Typer()


@app.command(epilog=EMBED_EXAMPLE)
def embed(
    file: Annotated[Path, typer.Argument(help="A UTF-8 text file with one sentence per line.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    version: Version = None,
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Writes a vector for each sentence of a file; memory use does not depend on its length."""
    prepare_terminal()
    if not file.is_file():
        raise UserError("there is no such file", where=str(file), expected="a text file")
    if output.suffix != ".parquet":
        raise UserError(
            "the output must be a Parquet file",
            where="--output",
            received=str(output),
            expected="a file name that ends in .parquet",
        )
    champion = ChampionRef(MODEL, sample=sample, version=version)
    with waiting(f"embedding with {champion.registered}..."):
        from regrow.models.sentence_vectors.predict import embed as write_vectors
        from regrow.operations.predict import load_registered

        model, used = load_registered(champion, read_environment())
        count = write_vectors(model, file, output)
    if as_json:
        print_json({"model": used, "sentences": count, "output": str(output)})
    else:
        tell(f"{count} vectors by {used} written to {output}")


@app.command(epilog=SIMILAR_EXAMPLE)
def similar(
    sentence: Annotated[str, typer.Argument(help="A sentence, in quotes.")],
    count: Annotated[int, typer.Option(min=1, max=1000, help="Number of sentences to show.")] = 10,
    version: Version = None,
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Finds the sentences of the corpus that are most similar to a sentence, without duplicates."""
    prepare_terminal()
    settings = read_environment()
    champion = ChampionRef(MODEL, sample=sample, version=version)
    check_version(champion, settings.tracking_uri, settings.home)
    with waiting(f"searching the corpus of {champion.registered}..."):
        from regrow.models.sentence_vectors.predict import find_similar
        from regrow.registry.champions import open_registry

        registry = open_registry(champion, settings)
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
    from regrow.store.store import open_store

    fingerprint = registry.find(version).tags[f"regrow.fingerprint.{stage}"]
    entry = open_store(settings).find(MODEL, stage, fingerprint)
    if entry is None:
        raise UserError(
            "the corpus of this version is not in the store",
            where=str(settings.home),
            received=f"no complete result of stage {stage} {fingerprint[:12]}",
            remedies=[f"regrow run {MODEL} with the same settings builds it again"],
        )
    return entry.path
