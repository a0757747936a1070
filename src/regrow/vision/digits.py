"""Handwritten digits of 8 x 8 pixels: from scikit-learn's file to a clean table, and its splits."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regrow.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.store.context import StageContext

FILE = "digits.csv.gz"
SIDE = 8
INK_MAX = 16
"""Each pixel counts the inked ones of a 4 x 4 block of the scanned picture: 0 to 16."""
CLASSES = 10
Split = Literal["train", "validation", "test"]
# Out of a hundred; what is left is for training.
TEST_SHARE, VALIDATION_SHARE = 20, 10
LINE_BYTES = 1000  # 65 numbers of at most two digits are less than 200 bytes

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Digits:
    """Digits in the order of the file.

    Attributes:
        digit_id: (digits,), int32: the line of the file, from 0.
        pixels: (digits, 8, 8, 1), float32, ink from 0 to 16.
        labels: (digits,), int32.
    """

    digit_id: Array
    pixels: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes `table.parquet`: one row a digit, with the split that it belongs to.

    Raises:
        DataError: the file is not as the source has it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    pixels, labels = read_source(ctx)
    digests = [digest_picture(digit) for digit in pixels]
    splits = [choose_split(digest) for digest in digests]
    columns = {
        "digit_id": pa.array(np.arange(len(labels), dtype="int32")),
        "label": pa.array(labels.astype("int8")),
        "split": pa.array(splits),
        "digest": pa.array(digests),
        "ink": pa.array(pixels.mean(axis=1, dtype="float64")),
        "darkest": pa.array(pixels.max(axis=1)),
        "pixels": pa.FixedSizeListArray.from_arrays(pixels.ravel(), SIDE * SIDE),
    }
    pq.write_table(pa.table(columns), ctx.out / "table.parquet", compression="zstd")
    ctx.progress("clean digits", len(labels), len(labels))
    return {
        "rows": len(labels),
        "columns": len(columns),
        **{f"{name}_digits": splits.count(name) for name in ("train", "validation", "test")},
    }


def read_source(ctx: StageContext) -> tuple[Array, Array]:
    """The downloaded file's pixels (digits, 64) and labels (digits,), uint8.

    Raises:
        DataError: the file is not as the source has it.
    """
    origin = str(ctx.inputs["download"].facts["sources"][0]["origin"])
    lines = list(_read_lines(ctx.inputs["download"].file(FILE), origin))
    if not lines:
        raise DataError("the file contains no digits", where=origin, received="0 lines")
    rows = np.array(lines, dtype="uint8")
    return rows[:, :-1], rows[:, -1]


def digest_picture(pixels: Array) -> str:
    """The SHA-256 of a picture's pixels, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def choose_split(digest: str) -> Split:
    """The split of a picture, by the SHA-256 of its content.

    So a picture stays where it is when others are added, and equal pictures are in one split.
    """
    lot = int(digest, 16) % 100
    if lot < TEST_SHARE:
        return "test"
    return "validation" if lot < TEST_SHARE + VALIDATION_SHARE else "train"


def read_digits(table: Path, split: Split) -> Digits:
    """The digits of one split of the clean table."""
    import pyarrow.parquet as pq

    found = pq.read_table(table, filters=[("split", "=", split)])
    pixels = found["pixels"].combine_chunks().flatten().to_numpy().astype("float32")
    return Digits(
        found["digit_id"].to_numpy(),
        pixels.reshape(-1, SIDE, SIDE, 1),
        found["label"].to_numpy().astype("int32"),
    )


def profile_digits(table: Path) -> dict[str, Any]:
    """The profile of the training digits, to compare later data with."""
    import pandas as pd

    from regrow.checks.profiles import profile_table

    frame = pd.read_parquet(table, columns=["label", "ink", "darkest", "split"])
    return profile_table(frame[frame["split"] == "train"], ["label", "ink", "darkest"])


def _read_lines(path: Path, origin: str) -> Iterator[list[int]]:
    """The numbers of each line: 64 pixels and the label."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as lines:
            number = 0
            while line := lines.readline(LINE_BYTES):
                number += 1
                if line.strip():
                    yield _parse(line, f"{origin}, line {number}")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            "the file cannot be unpacked",
            where=origin,
            received=str(error),
            expected="gzip, or plain text",
            remedies=["download the file again, or use another one with --source"],
        ) from error


def _parse(line: bytes, where: str) -> list[int]:
    try:
        values = [int(value) for value in line.decode("ascii").split(",")]
    except ValueError:
        raise _refuse(where, repr(line[:60])) from None
    if len(values) != SIDE * SIDE + 1:
        raise _refuse(where, f"{len(values)} values")
    for value in values[:-1]:
        if not 0 <= value <= INK_MAX:
            raise _refuse(where, f"a pixel of {value}")
    if not 0 <= values[-1] < CLASSES:
        raise _refuse(where, f"the digit {values[-1]}")
    return values


def _refuse(where: str, received: str) -> DataError:
    return DataError(
        "a line does not contain a digit",
        where=where,
        received=received,
        expected="64 integers from 0 to 16 and the digit, 0 to 9, separated by commas",
        remedies=["correct the line, or use another file with --source"],
    )
