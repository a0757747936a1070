"""Lines of files of all systems."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from regrow.models.question_answering.reader import MAX_LINE_BYTES
from regrow.models.sentence_vectors.predict import read_lines
from regrow.text.lines import split_lines


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_ends_a_sentence(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "one.txt").write_bytes(end.join(["Grün.".encode(), b"", b"Two.", b""]))
    lines = [(line.number, line.text) for line in read_lines(tmp_path / "one.txt")]
    assert lines == [(1, "Grün."), (3, "Two.")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_keep_their_bytes_and_their_bound(end: bytes) -> None:
    content = bytes(n for n in range(256) if n not in b"\r\n") + end + b"x" * 9000 + end
    lines = list(split_lines(io.BytesIO(content), MAX_LINE_BYTES))
    assert b"".join(lines) == content
    assert max(map(len, lines)) == MAX_LINE_BYTES
    assert lines[0].endswith(b"\xff" + end)
