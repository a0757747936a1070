"""Predictions for a folder of inputs: each input once, told by its content, each output whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.engine.config import Settings
from regrow.engine.errors import DataError, UserError
from regrow.engine.fingerprint import digest_file, digest_json
from regrow.engine.locks import exclusive
from regrow.engine.predict import load_registered
from regrow.engine.progress import report
from regrow.engine.spec import ModelSpec, load

if TYPE_CHECKING:
    import pandas as pd

# So much of an input's SHA-256 stands in its output's name.
DIGITS = 16


def predict_folder(
    spec: ModelSpec,
    settings: Settings,
    inputs: Path,
    outputs: Path,
    *,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any]:
    """Predicts for everything in a folder that no output is there for yet.

    An input is a file, or a folder of files that are predicted from together. Names that begin with
    a dot are left out: write a file under such a name and rename it when it is whole.

    Args:
        inputs: the folder of inputs.
        outputs: where `NAME.DIGEST.parquet` goes for each; model and input stand in its metadata.
        version: a version other than the champion.

    Returns:
        JSON: "model" (the version used; None if there was nothing to do), "predicted" (file, rows,
        output), "known" (how many were predicted before), "bad" (file and why), which stops none of
        the others.

    Raises:
        UserError: a folder cannot be used, or there is no such version.
    """
    _check_folders(inputs, outputs)
    lock = hashlib.sha256(str(outputs.resolve()).encode()).hexdigest()[:DIGITS]
    with exclusive(settings.home / "locks" / f"predict-{lock}.lock"):
        return _predict_new(spec, settings, inputs, outputs, version, scope, sample)


def _predict_new(
    spec: ModelSpec,
    settings: Settings,
    inputs: Path,
    outputs: Path,
    version: int | None,
    scope: str,
    sample: bool,
) -> dict[str, Any]:
    done = {path.name.rpartition(".parquet")[0][-DIGITS:] for path in outputs.glob("*.parquet")}
    found: dict[str, Any] = {"model": None, "predicted": [], "known": 0, "bad": []}
    model: Any = None
    entries = sorted(path for path in inputs.iterdir() if not path.name.startswith("."))
    for number, path in enumerate(entries):
        report(f"predict with {spec.name}", number, len(entries))
        try:
            digest = _digest(path)
        except (OSError, DataError) as error:
            found["bad"].append({"file": path.name, "why": str(error)})
            continue
        if digest[:DIGITS] in done:
            found["known"] += 1
            continue
        if model is None:
            model, found["model"] = load_registered(
                spec, settings, version=version, sample=sample, scope=scope
            )
        try:
            frame = load(spec.predict)(model, _files(path))
            if _digest(path) != digest:
                raise DataError("it was changed while it was read", where=str(path))
        except Exception as error:  # whatever is wrong with one input, the others are predicted
            text = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            found["bad"].append({"file": path.name, "why": text})
            continue
        output = outputs / f"{path.stem}.{digest[:DIGITS]}.parquet"
        facts = {"model": found["model"], "input": path.name, "sha256": digest}
        _write(frame, output, facts)
        done.add(digest[:DIGITS])
        found["predicted"].append({"file": path.name, "rows": len(frame), "output": str(output)})
    report(f"predict with {spec.name}", len(entries), len(entries))
    return found


def _check_folders(inputs: Path, outputs: Path) -> None:
    if not inputs.is_dir():
        raise UserError(
            "there is no such folder of inputs",
            where=str(inputs),
            received="a file" if inputs.exists() else "nothing there",
            expected="a folder of files to predict from",
        )
    if outputs.resolve().is_relative_to(inputs.resolve()):
        raise UserError(
            "the outputs would be taken for inputs the next time",
            where=str(outputs),
            expected="a folder that is not inside the one of the inputs",
        )
    try:
        outputs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "the folder of outputs cannot be made",
            where=str(outputs),
            received=error.strerror or str(error),
        ) from error


def _files(path: Path) -> list[Path]:
    """The files of an input: itself, or those of a folder in the order of their names."""
    if path.is_file():
        return [path]
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise DataError("there are no files in it", where=str(path))
    return files


def _digest(path: Path) -> str:
    if path.is_file():
        return digest_file(path)
    return digest_json({file.name: digest_file(file) for file in _files(path)})


def _write(frame: pd.DataFrame, path: Path, facts: Mapping[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {f"regrow.{name}": value for name, value in facts.items()}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as stream:
        pq.write_table(table, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
