"""The clean table of models that make pictures: a manifest of images, their files beside it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.digests import digest_file
from regrow.base.errors import DataError
from regrow.base.file_kinds import ZIP
from regrow.vision.canvas import check_scaled
from regrow.vision.decoding import Array, read_rgb
from regrow.vision.zips import choose_pictures, explain_zip, extract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regrow.store.context import StageContext

COLUMNS = ("name", "role", "path", "sha256", "bytes", "mode", "frames", "width", "height")
MEASURES = ("brightness", "contrast")
WEIGHTS = "weights.h5"
MAX_ZIPPED = 100


@dataclass(frozen=True)
class Row:
    """One picture of the manifest.

    Attributes:
        name: the role and a number, such as "photo-1".
        role: the source that it came by, "photo" or "style".
        sha256: of the file, as it came.
        path: where the file is.
    """

    name: str
    role: str
    sha256: str
    path: Path

    def read(self) -> Array:
        """The picture, (height, width, 3), uint8."""
        return read_rgb(self.path).pixels


def write_manifest(ctx: StageContext, roles: Mapping[str, str]) -> dict[str, Any]:
    """Writes `table.parquet` and, beside it, `pictures/` and the backbone's `weights.h5`.

    Args:
        ctx: of a clean stage.
        roles: by source, what its pictures are for. Of a zip all pictures are taken.

    Returns:
        Facts: how many, where each came from, and as "notes" what was left out or ignored.

    Raises:
        DataError: a picture cannot be read; the weights are not those of the backbone.
    """
    import pandas as pd

    from regrow.vision.choices import weights_source

    download = ctx.inputs["download"]
    files = {fact["name"]: fact for fact in download.facts["sources"]}
    rows: list[dict[str, Any]] = []
    origins: dict[str, str] = {}
    notes: list[str] = []
    for source in [name for name in roles if name in files]:
        path, origin = download.file(files[source]["file"]), str(files[source]["origin"])
        for number, (label, copy) in enumerate(_list_pictures(path, origin, notes), 1):
            name = f"{roles[source]}-{number}"
            origins[name] = label
            rows.append(_describe(ctx.out, name, roles[source], label, copy, notes))
            ctx.progress("reading pictures", len(rows), 0)
    weights = weights_source(ctx.config.backbone)
    if weights in files:
        origin = str(files[weights]["origin"])
        _copy_weights(ctx, download.file(files[weights]["file"]), origin)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *MEASURES])
    frame.to_parquet(ctx.out / "table.parquet", index=False)
    return {
        "rows": len(frame),
        "columns": len(frame.columns),
        "pixels": int(_pixels(frame).sum()),
        "origins": origins,
        "notes": notes,
    }


def _copy_weights(ctx: StageContext, path: Path, origin: str) -> None:
    """Copies weights that fit the backbone."""
    from regrow.vision.backbones import build_backbone

    shutil.copyfile(path, ctx.out / WEIGHTS)
    try:
        build_backbone(ctx.config.backbone, weights=ctx.out / WEIGHTS)
    except DataError as error:
        error.where = origin  # not the store's copy, which the person has never seen
        raise


def _pixels(frame: Any) -> Any:
    return frame["width"] * frame["height"]


def _list_pictures(
    path: Path, origin: str, notes: list[str]
) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """What a person knows a picture by, and what copies it: the file, or the pictures of a zip.

    Those of a zip come in the order of their names; what is left out is added to `notes`.

    Raises:
        DataError: the zip is damaged, encrypted, too large, or has no picture.
    """
    with path.open("rb") as stream:
        zipped = stream.read(len(ZIP[0])) in ZIP
    if not zipped:
        yield origin, partial(shutil.copyfile, path)
        return
    with explain_zip(origin), zipfile.ZipFile(path) as archive:
        for member in choose_pictures(archive, origin, notes, MAX_ZIPPED):
            label = f"{origin}, {member.filename}"
            yield label, partial(extract, archive, member, label)


def _describe(
    out: Path, name: str, role: str, origin: str, copy: Callable[[Path], object], notes: list[str]
) -> dict[str, Any]:
    path = out / "pictures" / name
    path.parent.mkdir(exist_ok=True)
    copy(path)
    try:
        found = read_rgb(path)
    except DataError as error:
        error.where = origin  # not the store's copy, which the person has never seen
        raise
    if found.note:
        notes.append(f"{origin}: {found.note}")
    if found.frames > 1:
        notes.append(f"{origin} has {found.frames} frames; the first one is used")
    grey = found.pixels.mean(axis=2)
    return {
        "name": name,
        "role": role,
        "path": f"pictures/{name}",
        "sha256": digest_file(path),
        "bytes": path.stat().st_size,
        "mode": found.mode,
        "frames": found.frames,
        "width": found.pixels.shape[1],
        "height": found.pixels.shape[0],
        "brightness": float(grey.mean()),
        "contrast": float(np.ptp(grey)),
    }


def check_sizes(ctx: StageContext, rows: Sequence[Row], longest: int, allowed: int) -> None:
    """Makes sure, before the work begins, that enough is left of each picture when it is scaled.

    Args:
        ctx: of a train stage.
        longest: how many pixels the longer side then has.
        allowed: the largest `size` that the settings may ask for.

    Raises:
        DataError: a picture is too narrow.
    """
    origins = ctx.inputs["clean"].facts.get("origins", {})
    for row in rows:
        where = origins.get(row.name, row.name)
        check_scaled(row.read().shape, longest, where, allowed=allowed)


def read_manifest(table: Path, role: str | None = None) -> list[Row]:
    """The pictures of one role, or all, in order; `table` is the clean stage's table.parquet."""
    import pandas as pd

    frame = pd.read_parquet(table, columns=["name", "role", "sha256", "path"])
    return [
        Row(str(name), str(kind), str(digest), table.parent / str(path))
        for name, kind, digest, path in frame.itertuples(index=False)
        if role in (None, kind)
    ]


def find_weights(table: Path) -> Path | None:
    """The backbone's weights beside the manifest; None where random ones were asked for."""
    path = table.parent / WEIGHTS
    return path if path.is_file() else None


def profile_manifest(table: Path) -> dict[str, Any]:
    """The profile of the pictures, to compare later ones with."""
    import pandas as pd

    from regrow.checks.profiles import profile_table

    measures = ["width", "height", "bytes", *MEASURES]
    return profile_table(pd.read_parquet(table, columns=measures), measures)
