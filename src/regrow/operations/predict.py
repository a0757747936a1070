"""Predictions with a registered model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.files import atomic_write
from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.base.spec import load
from regrow.operations.input_ranges import check_ranges, read_profile
from regrow.registry.champions import open_registry
from regrow.registry.lookup import check_version
from regrow.registry.names import ChampionRef

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Predictions:
    """What a version answers.

    Attributes:
        frame: the answers.
        used: the name of the version.
        ranges: how many rows lie outside what its training has seen, see `find_outside`; None where
            this is not known.
    """

    frame: pd.DataFrame
    used: str
    ranges: dict[str, Any] | None


def predict_files(champion: ChampionRef, settings: Settings, paths: Sequence[Path]) -> Predictions:
    """Predicts for files of inputs with the champion, or another version.

    Raises:
        UserError: no such version.
        DataError: the inputs cannot be read.
    """
    spec = get_spec(champion.model)
    check_version(champion, settings.tracking_uri, settings.home)
    if spec.check_file:
        for path in paths:
            load(spec.check_file)(path, training=False)
    registry = open_registry(champion, settings)
    number = int(registry.find(champion.version).version)
    frame = load(spec.predict)(registry.load(number), paths)
    ranges = check_ranges(spec, read_profile(spec, registry, number), paths)
    return Predictions(frame, name_version(registry.name, number), ranges)


def load_registered(champion: ChampionRef, settings: Settings) -> tuple[Any, str]:
    """The Keras model of the champion, or of another version, and the version's name.

    Raises:
        UserError: no such version.
    """
    # Known before the imports of MLflow and Keras, which take seconds.
    settings.keras.check_backend()
    check_version(champion, settings.tracking_uri, settings.home)
    registry = open_registry(champion, settings)
    number = int(registry.find(champion.version).version)
    return registry.load(number), name_version(registry.name, number)


def name_version(registered: str, number: int) -> str:
    """How a version is named in outputs and messages."""
    return f"{registered} version {number}"


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes a .csv or .parquet file atomically."""
    with atomic_write(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False)
