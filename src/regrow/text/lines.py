"""Lines of text files as bytes, whatever the line ends are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO


def split_lines(stream: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """The lines of a stream with their ends: LF, CR LF or CR.

    Of a line that is longer, so many bytes at a time are passed on.
    """
    # Latin-1 has a character for each byte; an empty `newline` keeps the ends as they are.
    text = io.TextIOWrapper(stream, encoding="latin-1", newline="")
    while line := text.readline(max_bytes):
        yield line.encode("latin-1")
