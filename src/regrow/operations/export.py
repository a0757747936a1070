"""A registered version as a file for other programs."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

from regrow.base.errors import UserError
from regrow.base.settings import Settings
from regrow.pipeline.disk import measure_folder
from regrow.registry.champions import open_registry
from regrow.registry.names import ChampionRef
from regrow.training.export import NotExportable, export_model
from regrow.training.formats import FORMATS, Format

# What a format needs beside TensorFlow, and the extra that brings it.
NEEDED = {"onnx": ("onnx", "onnxruntime", "tf2onnx")}


def export_version(
    ref: ChampionRef, kind: Format, out: Path | None, settings: Settings
) -> dict[str, Any]:
    """Writes a version in another format after it was compared with the version's example.

    Args:
        ref: the version, or the champion.
        kind: the format.
        out: the file to write, or for a SavedModel the folder; it must not exist. None for one in
            the working directory that is named after the version.

    Returns:
        JSON: "model" and "version" in the registry, "format", "path", "bytes", and "difference",
        the largest from the answers to the version's example.

    Raises:
        UserError: the path exists, a package is missing, or the model cannot be exported.
        DataError: the version is not the one that was registered.
    """
    registry = open_registry(ref, settings)
    version = registry.find(ref.version)
    out = out or Path(f"{registry.name}-{version.version}{FORMATS[kind]}")
    _check(kind, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".regrow-export-", dir=out.parent) as folder:
        written = Path(folder) / f"model{FORMATS[kind]}"
        example = registry.artifact(version, "example.npz")
        try:
            found = export_model(registry.model_file(version), example, written, kind)
        except NotExportable as error:
            raise UserError(
                f"{registry.name} version {version.version} cannot be exported as {kind}",
                received=str(error),
                remedies=["try another format, such as --format keras"],
            ) from error
        size = measure_folder(written)
        shutil.move(written, out)
    return {
        "model": registry.name,
        "version": int(version.version),
        "format": kind,
        "path": str(out),
        "bytes": size,
        "difference": found.difference,
    }


def _check(kind: Format, out: Path) -> None:
    missing = [name for name in NEEDED.get(kind, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"packages for the format {kind} are not installed",
            received=f"not found: {', '.join(missing)}",
            remedies=[f'pip install "regrow[{kind}]"'],
        )
    if out.exists():
        raise UserError(
            "the path to export to exists, and nothing is overwritten",
            where=str(out),
            remedies=["remove it, or choose another path with --output"],
        )
    if FORMATS[kind] and out.suffix != FORMATS[kind]:
        raise UserError(
            f"a file of the format {kind} has another ending",
            where="--output",
            received=out.name,
            expected=f"a name that ends in {FORMATS[kind]}",
        )
