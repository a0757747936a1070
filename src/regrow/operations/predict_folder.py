"""Predictions for a folder of inputs: each input once by each version, identified by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.digests import digest_file, digest_json
from regrow.base.errors import DataError, UserError, explain_refusal
from regrow.base.files import atomic_write
from regrow.base.locks import exclusive
from regrow.base.progress import report
from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.base.spec import load
from regrow.operations.input_ranges import check_ranges, read_profile
from regrow.operations.predict import name_version
from regrow.registry.champions import open_registry
from regrow.registry.lookup import read_standing
from regrow.registry.names import ChampionRef

if TYPE_CHECKING:
    import pandas as pd

# How many digits of an input's SHA-256 are in its output's name.
DIGITS = 16


def predict_folder(
    champion: ChampionRef, settings: Settings, inputs: Path, outputs: Path
) -> dict[str, Any]:
    """Predicts for the inputs in a folder that have no output of this version yet.

    An input is a file, or a folder of files that are predicted together. Names that begin with a
    dot are skipped: write a file under such a name and rename it when it is complete.

    Args:
        inputs: the folder of inputs.
        outputs: the folder of `NAME.REGISTERED-vVERSION.DIGEST.parquet`, whose metadata name the
            version and the input. What other versions predicted stays beside it.

    Returns:
        JSON: "model" (the version used; None if there was nothing to do), "predicted" (file, rows,
        output, outside: how many rows lie outside what the training has seen, None where this
        is not known), "known" (how many this version predicted before), "bad" (file and why),
        which does not stop the others.

    Raises:
        UserError: a folder cannot be used, or there is no such version.
    """
    _check_folders(inputs, outputs)
    lock = hashlib.sha256(str(outputs.resolve()).encode()).hexdigest()[:DIGITS]
    with exclusive(settings.home.lock(f"predict-{lock}")):
        wanted = _name_version(champion, settings)
        new, known, bad = _list_new(inputs, outputs, wanted)
        used, predicted = None, []
        if new:
            spec, registry = get_spec(champion.model), open_registry(champion, settings)
            number = int(registry.find(champion.version).version)
            used = name_version(registry.name, number)
            predict = partial(load(spec.predict), registry.load(number))
            check = partial(check_ranges, spec, read_profile(spec, registry, number))
            predicted = _predict_new(predict, check, new, outputs, used, bad)
    return {"model": used, "predicted": predicted, "known": known, "bad": bad}


def _name_version(champion: ChampionRef, settings: Settings) -> str | None:
    """The version that answers, without importing MLflow; None if there is no champion."""
    number = champion.version
    if number is None:
        standing = read_standing(settings.tracking_uri, champion.registered, settings.home)
        number = standing.champion
    return None if number is None else name_version(champion.registered, number)


def _list_new(
    inputs: Path, outputs: Path, version: str | None
) -> tuple[dict[str, Path], int, list[dict[str, str]]]:
    """Inputs without an output of the version, by digest; the number of the others; those that are
    unreadable.
    """
    done: dict[str, list[Path]] = {}
    for output in outputs.glob("*.parquet"):
        done.setdefault(output.stem[-DIGITS:], []).append(output)
    new: dict[str, Path] = {}
    known, bad = 0, []
    for path in sorted(path for path in inputs.iterdir() if not path.name.startswith(".")):
        try:
            digest = _digest(path)
        except (OSError, DataError) as error:
            bad.append({"file": path.name, "why": str(error)})
            continue
        before = done.get(digest[:DIGITS], [])
        if digest in new or any(_read_version(output) == version for output in before):
            known += 1
        else:
            new[digest] = path
    return new, known, bad


def _predict_new(
    predict: Callable[[Sequence[Path]], pd.DataFrame],
    check: Callable[[Sequence[Path]], dict[str, Any] | None],
    new: Mapping[str, Path],
    outputs: Path,
    used: str,
    bad: list[dict[str, str]],
) -> list[dict[str, Any]]:
    """Writes the predictions; what is wrong with an input is added to `bad`."""
    predicted = []
    for number, (digest, path) in enumerate(new.items()):
        report(f"predict with {used}", number, len(new))
        label = used.replace(" version ", "-v")
        output = outputs / f"{path.stem}.{label}.{digest[:DIGITS]}.parquet"
        try:
            frame, ranges = predict(_files(path)), check(_files(path))
            if _digest(path) != digest:
                raise DataError("it changed while it was being read", where=str(path))
        except Exception as error:  # whatever is wrong with one input, the others are predicted
            why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            bad.append({"file": path.name, "why": why})
            continue
        _write(frame, output, {"model": used, "input": path.name, "sha256": digest})
        outside = ranges["outside"] if ranges else None
        predicted.append(
            {"file": path.name, "rows": len(frame), "output": str(output), "outside": outside}
        )
    report(f"predict with {used}", len(new), len(new))
    return predicted


def _check_folders(inputs: Path, outputs: Path) -> None:
    if not inputs.is_dir():
        raise UserError(
            "the input folder does not exist",
            where=str(inputs),
            received="a file" if inputs.exists() else "folder not found",
            expected="a folder with input files",
        )
    if outputs.resolve().is_relative_to(inputs.resolve()):
        raise UserError(
            "the outputs would be used as inputs in the next run",
            where=str(outputs),
            expected="a folder that is not inside the input folder",
        )
    with explain_refusal("the output folder cannot be created", outputs):
        outputs.mkdir(parents=True, exist_ok=True)


def _files(path: Path) -> list[Path]:
    """The file of an input, or the files of a folder in the order of their names."""
    if path.is_file():
        return [path]
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise DataError("the folder contains no files", where=str(path))
    return files


def _digest(path: Path) -> str:
    if path.is_file():
        return digest_file(path)
    return digest_json({file.name: digest_file(file) for file in _files(path)})


def _read_version(output: Path) -> str | None:
    """The version that made an output; None for a file that is not an output."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata: dict[bytes, bytes] = pq.read_schema(output).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    return metadata.get(b"regrow.model", b"").decode()


def _write(frame: pd.DataFrame, path: Path, facts: Mapping[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {f"regrow.{name}": value for name, value in facts.items()}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary)
