"""Disks that are full, homes that are read-only, files that are damaged: one clear message each."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from regrow.base.errors import DataError, UserError
from regrow.base.home import Home
from regrow.base.project import get_spec, list_models
from regrow.base.system_errors import explain
from regrow.cli.app import app
from regrow.pipeline.request import make_request
from regrow.training.inference import load_example
from tests.conftest import QUICK_RUN, REPOSITORY, SAMPLE, Regrow
from tests.registry.test_moved_home import digests_of
from tests.support.commands import REGROW, Launcher, own_environment
from tests.support.permissions import make_read_only

# As `regrow`, in a process that may not ignore the modes of files.
OBEDIENT = """
from tests.support.permissions import obey_file_modes
obey_file_modes()
from regrow.cli import main
main()
"""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7 TiB for an array"),
        RuntimeError("OOM when allocating tensor with shape[64,900000000]"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 10 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 10 bytes."),
    ],
)
def test_too_little_memory_is_said(error: Exception) -> None:
    explained = explain(error)
    assert explained is not None
    assert explained.what == "there is not enough memory"
    assert explain(RuntimeError("the memory network failed")) is None


def test_absurd_sizes_of_layers_are_refused() -> None:
    """Every size of a setting has a limit, so that nothing waits for memory for ever."""
    for model in list_models():
        spec = get_spec(model)
        for name, field in spec.config.model_fields.items():
            if not any(word in name for word in ("units", "width", "filters", "size", "steps")):
                continue
            absurd: Any = 10**12
            if not isinstance(field.default, int):
                absurd = [absurd]
            with pytest.raises(UserError, match="not valid"):
                make_request(spec, overrides={name: absurd})


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("predict", "air-quality", str(SAMPLE), "--sample", "--json"), 0),
        ((*QUICK_RUN,), 2),
        (("gc",), 2),
        (("rollback", "air-quality", "1", "--sample"), 2),
    ],
)
def test_a_read_only_home_is_predicted_from_and_not_written_to(
    command: tuple[str, ...], code: int, trained: Path, launcher: Launcher, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    before = digests_of(home)
    make_read_only(home)
    environment = own_environment(tmp_path)
    done = launcher.run("-c", OBEDIENT, *command, cwd=REPOSITORY, env=environment)
    assert done.returncode == code, done.stderr
    if code == 0:
        assert json.loads(done.stdout)["model"] == "air-quality.sample version 1"
    else:
        assert "error: permission to read or write a file or folder was denied" in done.stderr
        assert "Traceback" not in done.stderr
    assert digests_of(home) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The mount point of a disk of 40 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this account may not mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, leave_bytes: int) -> None:
    size = shutil.disk_usage(disk).free - leave_bytes
    (disk / "filling").write_bytes(bytes(size))


@pytest.mark.parametrize("leave_bytes", [0, 200_000])
def test_a_full_disk_is_named_and_harms_nothing(
    leave_bytes: int, trained: Path, regrow: Regrow, small_disk: Path
) -> None:
    home = Path(shutil.copytree(trained, small_disk / "home"))
    before = digests_of(home / "store")
    fill(small_disk, leave_bytes)
    done = regrow(*QUICK_RUN, "--set", "validation_share=0.3", home=home)
    assert done.returncode == 2
    # Before a stage that has too little space, or by the first file that does not fit.
    assert "on the disk" in done.stderr.partition("error: there is no")[2].splitlines()[0]
    assert "Traceback" not in done.stderr
    assert "restore" not in done.stderr
    (small_disk / "filling").unlink()
    assert digests_of(home / "store").items() >= before.items()
    assert not list((home / "runs").rglob("[.]*"))


# As `regrow`, in a process whose files may have at most so many bytes.
BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from regrow.cli import main
main()
"""


@pytest.mark.parametrize("most_bytes", [1000, 300_000])
def test_a_bound_on_the_size_of_files_is_named_and_harms_nothing(
    most_bytes: int, trained: Path, launcher: Launcher, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    before = digests_of(home / "store")
    command = (*QUICK_RUN, "--set", "validation_share=0.3")
    environment = own_environment(tmp_path)
    done = launcher.run("-c", BOUNDED, str(most_bytes), *command, cwd=REPOSITORY, env=environment)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "there is no space left" in done.stderr or "a disk failed" in done.stderr
    assert digests_of(home / "store").items() >= before.items()
    again = launcher.run(*REGROW, *command, cwd=REPOSITORY, env=environment)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["version"] == 2


def test_a_full_disk_in_mlflows_database_is_no_reason_to_restore_it(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "small.db")) as database:
        database.execute("CREATE TABLE numbers (value BLOB)")
        database.execute("PRAGMA max_page_count = 3")
        with pytest.raises(sqlite3.OperationalError) as raised:
            database.execute("INSERT INTO numbers VALUES (zeroblob(100000))")
    explained = explain(RuntimeError(f"({type(raised.value).__name__}) {raised.value}"))
    assert explained is not None
    assert explained.what == "there is no space left on the disk"


def test_what_led_to_an_error_is_explained_and_nothing_else_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as full:
        Path("/dev/full").write_bytes(b"text")
    wrapped = ValueError("not written")
    wrapped.__cause__ = full.value
    assert isinstance(explain(wrapped), UserError)
    example = tmp_path / "example.npz"
    example.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(zipfile.BadZipFile) as damaged:
        np.load(example)
    assert isinstance(explain(damaged.value), DataError)
    with pytest.raises(DataError, match="is damaged"):
        load_example(example)
    assert explain(ValueError("a mistake in the code")) is None
    told = UserError("told already")
    told.__cause__ = full.value
    assert explain(told) is None


def test_a_reason_is_printed_as_it_is(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(Path(shutil.copytree(trained, tmp_path / "home")))
    log = home.decisions / "air-quality.sample.jsonl"
    log.write_text(log.read_text().replace("is the first champion", "[/bold] is [red]first[/red]"))
    monkeypatch.setenv("REGROW_HOME", str(home))
    for command in (["status", "air-quality"], ["log", "air-quality", "--sample"]):
        shown = CliRunner().invoke(app, command, env={"COLUMNS": "300"})
        assert shown.exit_code == 0, shown.exception
        assert "[/bold] is [red]first[/red]" in shown.output
