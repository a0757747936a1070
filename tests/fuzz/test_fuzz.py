"""A few hostile inputs for every reader; `make fuzz` has many, and measures what they reach."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pytest

from regrow.base.errors import DataError, UserError
from regrow.base.keras_settings import read_keras_settings
from regrow.base.project import get_spec
from regrow.base.project_file import read_project
from regrow.models.air_quality.data import read_readings
from regrow.pipeline.request import make_request, parse_overrides
from regrow.registry.gate import read_decisions
from regrow.sources.catalog import load_sources
from regrow.sources.given import copy_given
from tests.fuzz.__main__ import READERS
from tests.fuzz.harness import run
from tests.models.test_air_quality_tables import make_csv, make_frame
from tests.sources.test_given import declare_several

INPUTS = 20
# Forked workers start with what this process has imported, TensorFlow's threads excepted.
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")


@pytest.mark.parametrize("name", READERS)
def test_hostile_inputs_are_read_or_refused(name: str) -> None:
    outcomes = run(READERS[name], range(-1, INPUTS))
    bad = [
        f"input {one.number}: {one.verdict}\n{one.detail}" for one in outcomes if not one.is_good
    ]
    assert not bad, "\n".join(bad)
    valid, *others = outcomes
    assert valid.verdict == "read"
    assert len(others) == INPUTS
    assert sum(one.passed_check for one in others) * 2 >= INPUTS


# What the fuzzers found, in the smallest form.


def test_a_zip_whose_member_begins_before_the_file_is_damaged(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("data/a.txt", b"a")
    content = bytearray(sink.getvalue())
    central = content.index(b"PK\1\2")
    content[central:central] = bytes(8)  # so that all offsets are off
    end = content.index(b"PK\5\6")
    content[end + 16 : end + 20] = (central + 60).to_bytes(4, "little")
    (tmp_path / "some.zip").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        copy_given(declare_several(), tmp_path / "some.zip", tmp_path / "out")


def test_a_row_that_is_too_long_and_not_utf8_prints_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_csv(tmp_path / "some.csv")
    path.write_bytes(path.read_bytes() + b"11/03/2004;18.00.00;\xff" + b";" * 30 + b"\r\n")
    with pytest.raises(DataError, match="numbers of fields"):
        read_readings(path)
    assert "Traceback" not in capfd.readouterr().err


def test_an_arrow_file_whose_offsets_lead_out_of_it_is_refused(tmp_path: Path) -> None:
    """Reading such a column crashed the process."""
    frame = make_frame(4)
    frame["nox_ppb"] = ["1,5"] * 4
    table = pa.Table.from_pandas(frame, preserve_index=False)
    at = table.schema.get_field_index("nox_ppb")
    offsets = pa.py_buffer(struct.pack("<5i", 0, 3, 2**30, 9, 12))
    data = pa.py_buffer(b"1,51,51,51,5")
    column = pa.Array.from_buffers(pa.string(), 4, [None, offsets, data])
    table = table.set_column(at, "nox_ppb", column)
    with pa.ipc.new_file(str(tmp_path / "some.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match="damaged"):
        read_readings(tmp_path / "some.arrow")


@pytest.mark.parametrize("depth", [1000, 100_000])
def test_what_is_nested_too_deeply_is_refused(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    (tmp_path / "sources.toml").write_text(f"x = {deep}")
    with pytest.raises(UserError):
        load_sources(tmp_path / "sources.toml")["x"]
    (tmp_path / "regrow.toml").write_text(f"models = {deep}")
    with pytest.raises(UserError):
        read_project(tmp_path)
    with pytest.raises(UserError):
        make_request(get_spec("air-quality"), overrides=parse_overrides([f"seeds={deep}"]))
    with pytest.raises(UserError):
        parse_overrides([".".join(["a"] * depth) + "=1"])
    (tmp_path / "decisions.jsonl").write_text(deep)
    assert read_decisions(tmp_path / "decisions.jsonl") == []
    (tmp_path / "keras.json").write_text(deep)
    with pytest.raises(UserError):  # Keras itself would fail at its import
        read_keras_settings({"KERAS_HOME": str(tmp_path)})
