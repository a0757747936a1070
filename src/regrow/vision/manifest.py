"""The clean table of models that make pictures: a manifest of images, their files beside it."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.engine.errors import DataError
from regrow.engine.expectations import Expectation, expect
from regrow.vision.canvas import PICTURES
from regrow.vision.decoding import MAX_PIXELS, MIN_SIDE, Array, read_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regrow.engine.spec import StageContext

COLUMNS = ("name", "role", "path", "sha256", "bytes", "mode", "frames", "width", "height")
MEASURES = ("brightness", "contrast")
WEIGHTS = "weights.h5"
MAX_ZIPPED, MAX_BYTES = 100, 1_000_000_000


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

    Raises:
        DataError: a picture cannot be read; the weights are not those of the backbone.
    """
    import pandas as pd

    from regrow.vision.backbones import build_backbone
    from regrow.vision.choices import weights_source

    download = ctx.inputs["download"]
    files = {fact["name"]: fact for fact in download.facts["sources"]}
    rows = []
    for source, role in roles.items():
        if source in files:
            path, origin = download.file(files[source]["file"]), str(files[source]["origin"])
            for number, (label, content) in enumerate(_list_pictures(path, origin), 1):
                rows.append(_describe(ctx.out, f"{role}-{number}", role, label, content))
                ctx.progress("reading pictures", len(rows), 0)
    weights = weights_source(ctx.config.backbone)
    if weights in files:
        content = download.file(files[weights]["file"]).read_bytes()
        (ctx.out / WEIGHTS).write_bytes(content)
        build_backbone(ctx.config.backbone, weights=ctx.out / WEIGHTS)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *MEASURES])
    frame.to_parquet(ctx.out / "table.parquet", index=False)
    return {"rows": len(frame), "columns": len(frame.columns), "pixels": int(_pixels(frame).sum())}


def _pixels(frame: Any) -> Any:
    return frame["width"] * frame["height"]


def _list_pictures(path: Path, origin: str) -> Iterator[tuple[str, bytes]]:
    """The file itself, or the pictures of a zip in the order of their names."""
    if not zipfile.is_zipfile(path):
        yield origin, path.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(
                (one for one in archive.infolist() if one.filename.lower().endswith(PICTURES)),
                key=lambda one: one.filename,
            )
            size = sum(member.file_size for member in members)
            if not 0 < len(members) <= MAX_ZIPPED or size > MAX_BYTES:
                raise DataError(
                    "the zip cannot be taken as pictures",
                    where=origin,
                    received=f"{len(members)} pictures, {size:,} bytes",
                    expected=f"1 to {MAX_ZIPPED} pictures, {MAX_BYTES:,} bytes in all at most",
                )
            for member in members:
                yield f"{origin}, {member.filename}", archive.read(member)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError("the zip cannot be read", where=origin, received=str(error)) from error


def _describe(out: Path, name: str, role: str, origin: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    path = out / "pictures" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        found = read_rgb(path)
    except DataError as error:
        error.where = origin  # not the store's copy, which the person has never seen
        raise
    grey = found.pixels.mean(axis=2)
    return {
        "name": name,
        "role": role,
        "path": f"pictures/{name}",
        "sha256": digest,
        "bytes": len(content),
        "mode": found.mode,
        "frames": found.frames,
        "width": found.pixels.shape[1],
        "height": found.pixels.shape[0],
        "brightness": float(grey.mean()),
        "contrast": float(np.ptp(grey)),
    }


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

    from regrow.engine.profile import profile_table

    measures = ["width", "height", "bytes", *MEASURES]
    return profile_table(pd.read_parquet(table, columns=measures), measures)


EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training picks columns by name",
        column_list=[*COLUMNS, *MEASURES],
    ),
    expect("table_row_count_to_be_between", "there is a picture", min_value=1),
    expect("column_values_to_be_unique", "a picture is found by its name", column="name"),
    expect(
        "column_values_to_match_regex",
        "a picture is known by the digest of its file",
        column="sha256",
        regex="^[0-9a-f]{64}$",
    ),
    *(
        expect(
            "column_values_to_be_between",
            "after five poolings nothing is left of a smaller picture; a larger one is no photo",
            column=side,
            min_value=MIN_SIDE,
            max_value=MAX_PIXELS // MIN_SIDE,
        )
        for side in ("width", "height")
    ),
    expect(
        "column_values_to_be_between",
        "on a picture of one brightness there is nothing to be seen",
        column="contrast",
        min_value=8,
    ),
    expect(
        "column_distinct_values_to_contain_set",
        "there is a photo to work on",
        column="role",
        value_set=["photo"],
    ),
)
