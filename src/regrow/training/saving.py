"""Writes models as `.keras` files whose bytes depend on the model alone.

Keras writes the time of day into the archive and its metadata, and addresses in memory into the
configuration. Two equal trainings would then be two results, and a training that is repeated after
a loss of the store would be another release.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.files import atomic_write
from regrow.base.model_file import CONFIG

if TYPE_CHECKING:
    import keras

METADATA = "metadata.json"
# By which layers say that they have an object, such as a precision, in common.
SHARED = "shared_object_id"


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a model as a `.keras` file, whole or not at all."""
    with atomic_write(path) as temporary:
        dated = temporary.with_name(f"{temporary.stem}-dated.keras")
        try:
            model.save(dated)
            _copy_what_lasts(dated, temporary)
        finally:
            dated.unlink(missing_ok=True)


def _copy_what_lasts(dated: Path, path: Path) -> None:
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            entry = zipfile.ZipInfo(member.filename)  # of 1980, as is usual for such archives
            if member.filename in (METADATA, CONFIG):
                facts = json.loads(source.read(member))
                facts.pop("date_saved", None)
                target.writestr(entry, json.dumps(_number_shared(facts, {})))
                continue
            entry.file_size = member.file_size  # tells whether its sizes need 64 bits
            with source.open(member) as old, target.open(entry, "w") as new:
                shutil.copyfileobj(old, new)


def _number_shared(value: Any, numbers: dict[int, int]) -> Any:
    """The configuration with its shared objects numbered in their order, not by their addresses."""
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(item, len(numbers) + 1)
            if key == SHARED
            else _number_shared(item, numbers)
            for key, item in value.items()
        }
    return [_number_shared(item, numbers) for item in value] if isinstance(value, list) else value
