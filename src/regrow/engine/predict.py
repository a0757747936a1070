"""Predictions with a registered model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.engine.config import Settings
from regrow.engine.publish import open_registry
from regrow.engine.spec import ModelSpec, load

if TYPE_CHECKING:
    import pandas as pd


def predict_files(
    spec: ModelSpec,
    settings: Settings,
    paths: Sequence[Path],
    *,
    version: int | None,
    sample: bool,
    scope: str = "",
) -> tuple[pd.DataFrame, str]:
    """Predicts for files of inputs with the champion, or another version.

    Returns:
        The predictions, and the name of the version that made them.

    Raises:
        UserError: no such version.
        DataError: the inputs cannot be read.
    """
    model, used = load_registered(spec, settings, version=version, sample=sample, scope=scope)
    return load(spec.predict)(model, paths), used


def load_registered(
    spec: ModelSpec, settings: Settings, *, version: int | None, sample: bool, scope: str = ""
) -> tuple[Any, str]:
    """The champion, or another version, and its name.

    Raises:
        UserError: no such version.
    """
    registry = open_registry(spec, settings, sample=sample, scope=scope)
    number = int(registry.find(version).version)
    return registry.load(number), f"{registry.name} version {number}"


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes .csv or .parquet, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    if path.suffix == ".parquet":
        frame.to_parquet(temporary, index=False)
    else:
        frame.to_csv(temporary, index=False)
    temporary.replace(path)
