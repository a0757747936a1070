"""Outputs of predictions: each version's own, and complete when two processes write one file."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from regrow.operations.predict import write_frame
from tests.conftest import QUICK_RUN, SAMPLE, Regrow


@pytest.mark.e2e
def test_each_version_answers_in_the_same_folder(
    trained: Path, regrow: Regrow, tmp_path: Path
) -> None:
    home = shutil.copytree(trained, tmp_path / "copy")
    done = regrow(*QUICK_RUN, "--set", "validation_share=0.3", home=home)
    assert done.returncode == 0, done.stderr
    inbox, out = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    (inbox / "a.csv").write_bytes(b"".join(SAMPLE.read_bytes().splitlines(True)[:101]))

    def predict(*options: str) -> tuple[str | None, int, int]:
        done = regrow(
            "predict", "air-quality", inbox, "-o", out, "--sample", *options, "--json", home=home
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found["model"], len(found["predicted"]), found["known"]

    first = "air-quality.sample version 1"
    assert predict("--version", "1") == (first, 1, 0)
    (written,) = out.iterdir()
    # An output as it was named before names had the version in them: its metadata tell.
    written.rename(out / f"a.{written.stem[-16:]}.parquet")
    assert predict("--version", "1") == (None, 0, 1)
    assert predict("--version", "2") == ("air-quality.sample version 2", 1, 0)
    (out / f"not-parquet.{written.stem[-16:]}.parquet").write_bytes(b"")
    assert predict() == (None, 0, 1)  # the champion is one of the two
    metadata = [pq.read_schema(path).metadata for path in out.glob("a.*")]
    models = {values[b"regrow.model"].decode() for values in metadata}
    assert models == {first, "air-quality.sample version 2"}


def test_two_writers_of_one_file_both_succeed(tmp_path: Path) -> None:
    output, rows, errors = tmp_path / "same.csv", 2000, []
    frame = pd.DataFrame({"prediction": range(rows)})

    def write() -> None:
        try:
            for _ in range(20):
                write_frame(frame, output)
                assert len(pd.read_csv(output)) == rows
        except Exception as error:
            errors.append(error)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["same.csv"]
