"""The data of digit-localisation: from the digits to a clean table of scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from regrow.base.errors import DataError
from regrow.models.digit_localisation.scenes import BOX_INK, CANVAS, make_scenes
from regrow.vision.digits import CLASSES, Array, Split, choose_split, digest_picture, read_source

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from regrow.models.digit_localisation.spec import DigitLocalisationConfig
    from regrow.store.context import StageContext

BOX = ("left", "top", "right", "bottom")
SEEDS: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class SceneSplit:
    """Scenes of one split.

    Attributes:
        scene_id: (scenes,), int32.
        pixels: (scenes, 32, 32, 1), uint8.
        labels: (scenes,), int32.
        boxes: (scenes, 4), float32, in shares of the canvas: left, top, right, bottom.
    """

    scene_id: Array
    pixels: Array
    labels: Array
    boxes: Array


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes `table.parquet`: one row a scene, the scenes of a split made of that split's digits.

    Raises:
        DataError: the file is not as the source has it, a picture in it has no ink to put a box
            around, or a split would lack a digit.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    config: DigitLocalisationConfig = ctx.config
    digits, labels = read_source(ctx)
    splits = np.array([choose_split(digest_picture(digit)) for digit in digits])
    _check(digits, labels, splits, str(ctx.inputs["download"].facts["sources"][0]["origin"]))
    counts: dict[Split, int] = {
        "train": config.training_scenes,
        "validation": config.validation_scenes,
        "test": config.test_scenes,
    }
    parts, done = [], 0
    for split, count in counts.items():
        ctx.progress("draw scenes", done, sum(counts.values()))
        members = np.flatnonzero(splits == split)
        parts.append(_draw_split(digits, labels, members, split, range(done, done + count)))
        done += count
    table = pa.concat_tables(parts)
    pq.write_table(table, ctx.out / "table.parquet", compression="zstd")
    return {
        "rows": table.num_rows,
        "columns": table.num_columns,
        "digits": len(labels),
        **{f"{split}_digits": int((splits == split).sum()) for split in counts},
    }


def _draw_split(
    digits: Array, labels: Array, members: Array, split: Split, numbers: range
) -> pa.Table:
    """The rows of a split: a scene for each of `numbers`, made of the digits `members`."""
    import pyarrow as pa

    scenes = make_scenes(digits[members], len(numbers), SEEDS[split])
    source = members[scenes.sources]
    return pa.table(
        {
            "scene_id": np.array(numbers, dtype="int32"),
            "split": pa.array([split] * len(numbers)),
            "digit_id": source.astype("int32"),
            "label": labels[source].astype("int8"),
            **{name: scenes.boxes[:, n] for n, name in enumerate(BOX)},
            "width": scenes.boxes[:, 2] - scenes.boxes[:, 0],
            "height": scenes.boxes[:, 3] - scenes.boxes[:, 1],
            "pixels": pa.FixedSizeListArray.from_arrays(scenes.pixels.ravel(), CANVAS * CANVAS),
        }
    )


def _check(digits: Array, labels: Array, splits: Array, origin: str) -> None:
    pale = np.flatnonzero(digits.max(axis=1) < BOX_INK)
    if len(pale):
        raise DataError(
            "a picture contains no ink, so it has no bounding box",
            where=f"{origin}, digit {pale[0] + 1} of {len(digits)}",
            received=f"{digits[pale[0]].max()} in the darkest pixel",
            expected=f"at least {BOX_INK} in at least one pixel",
            remedies=["remove the line of the picture", "use another file with --source"],
        )
    for split in get_args(Split):
        absent = set(range(CLASSES)) - set(labels[splits == split].tolist())
        if absent:
            raise DataError(
                "there are too few digits for separate training and test splits",
                where=origin,
                received=f"{len(digits)} digits; the split {split} contains no digit "
                f"{' or '.join(map(str, sorted(absent)))}",
                expected="each digit from 0 to 9 in every split; about a thousand digits are "
                "enough",
                remedies=["use a larger file with --source"],
            )


def read_scenes(table: Path, split: Split) -> SceneSplit:
    """The scenes of one split of the clean table."""
    import pyarrow.parquet as pq

    found = pq.read_table(table, filters=[("split", "=", split)])
    pixels = found["pixels"].combine_chunks().flatten().to_numpy()
    return SceneSplit(
        found["scene_id"].to_numpy(),
        pixels.reshape(-1, CANVAS, CANVAS, 1),
        found["label"].to_numpy().astype("int32"),
        np.stack([found[name].to_numpy() for name in BOX], axis=1) / np.float32(CANVAS),
    )


def profile_scenes(table: Path) -> dict[str, Any]:
    """The profile of the training scenes, to compare later data with."""
    import pandas as pd

    from regrow.checks.profiles import profile_table

    columns = ["label", *BOX, "width", "height"]
    frame = pd.read_parquet(table, columns=[*columns, "split"])
    return profile_table(frame[frame["split"] == "train"], columns)
