"""The records of runs as others read them, also while one is being written."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from regrow.base.files import WRITING
from regrow.base.home import Home
from regrow.base.locks import is_held
from regrow.pipeline.records import RunRecord, is_busy, list_runs, run_lock
from regrow.pipeline.request import RunRequest


def test_a_record_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    folder = home.runs / "air-quality"
    folder.mkdir(parents=True)
    request = RunRequest(model="air-quality", config={}, preset="quick")
    record = RunRecord(
        run_id="a", request=request, started_at="2026-01-01T00:00:00+00:00", host="x"
    )
    (folder / "a.json").write_text(record.model_copy(update={"state": "failed"}).model_dump_json())
    (folder / f"{WRITING}abcd1234-a.json").write_text(record.model_dump_json())
    assert [found.state for found in list_runs(home, "air-quality")] == ["failed"]
    assert not is_busy(home, "air-quality")


HOLD = """
import sys, time
from pathlib import Path
from regrow.base.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_is_under_way_as_long_as_it_holds_its_lock(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record = RunRecord(
        run_id="a",
        request=RunRequest(model="air-quality", config={}, preset="quick"),
        started_at="2026-01-01T00:00:00+00:00",
        stage="train",
        pid=os.getpid(),  # of another process now, or of another container's
        host=platform.node(),
    )
    lock = run_lock(home, "air-quality", "a")
    assert record.outcome(home) == "interrupted in train"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert is_held(lock)
        assert record.outcome(home) == "running train"
        elsewhere = record.model_copy(update={"pid": 1, "host": "another-machine"})
        assert elsewhere.is_alive(home)
        holder.kill()
        holder.wait()
    assert lock.exists()
    assert not record.is_alive(home)
    assert not elsewhere.is_alive(home)
