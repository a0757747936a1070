"""Ctrl-C and other signals at a terminal: one line, the prompt, no orphans, and it can go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.commands import REGROW, list_files, wait_for
from tests.support.http_servers import Handler, serve_http
from tests.support.servers import FOREIGN, Server, run_server
from tests.support.terminals import CTRL_C, Terminal, at_terminal

# What a person at a terminal waits for the prompt, and what may be left behind.
PROMPT_S = 3.0
ORPHANS_S = 5.0
# Other processes of a test run share the cores.
SLACK_S = 3.0


class Stalled(Handler):
    """A mirror that sends the first bytes of a file and then nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000000")
        self.end_headers()
        self.wfile.write(b"Date;Time;")
        self.wfile.flush()
        time.sleep(60)


def environment(home: Path, **more: str) -> dict[str, str]:
    left_out = (*FOREIGN, "PREFECT_HOME", "PREFECT_API_URL")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "REGROW_HOME": str(home), **more}


def run_at_terminal(env: dict[str, str], cwd: Path, *options: str) -> Any:
    command = (sys.executable, *REGROW, "run", "air-quality", *options)
    return at_terminal(*command, env=env, cwd=cwd)


def interrupt(terminal: Terminal, how: str) -> None:
    """Interrupts the command; checks the prompt, what was said, and that nothing is left."""
    terminal.list_family()
    if how.startswith("keys"):
        for _ in range(2 if how == "keys twice" else 1):
            terminal.press(CTRL_C)
            time.sleep(0.1)
    else:
        os.kill(terminal.process.pid, getattr(signal, how))
    code, took = terminal.end(60)
    if how != "SIGKILL":
        assert code == 130, terminal.shown
        assert took < PROMPT_S + SLACK_S
        assert terminal.shown.count("interrupted") == 1
        assert "run the same command to continue" in terminal.shown
    assert "Traceback" not in terminal.shown
    wait_for("the end of all", lambda: not terminal.list_orphans(), ORPHANS_S + SLACK_S)


@pytest.mark.parametrize("how", ["keys", "SIGHUP"])
def test_a_download_is_interrupted_at_once(how: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (
        serve_http(Stalled) as http,
        run_at_terminal(
            environment(home, REGROW_MIRROR=http.address), tmp_path, "--no-prefect"
        ) as terminal,
    ):
        partial = "the first bytes"
        wait_for(partial, lambda: list_files(home / "downloads"), 60, every_s=0.05)
        interrupt(terminal, how)
    (record,) = home.glob("runs/air-quality/*.json")
    assert json.loads(record.read_text())["state"] == "interrupted"
    done = subprocess.run(
        [sys.executable, *REGROW, "status", "air-quality"],
        env=environment(home, COLUMNS="200"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "interrupted in download" in done.stdout


def test_the_start_of_the_server_is_interrupted_at_once(tmp_path: Path) -> None:
    with run_at_terminal(environment(tmp_path / "home"), tmp_path, "--sample") as terminal:
        terminal.wait_for("starting Prefect...")
        time.sleep(0.5)
        interrupt(terminal, "keys")


JOB = """
from regrow.base.project import get_spec
from regrow.operations.child import run_in_process
from regrow.pipeline.request import make_request
run_in_process(make_request(get_spec("air-quality")))
"""


def test_a_job_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (
        serve_http(Stalled) as http,
        at_terminal(
            *(sys.executable, "-c", JOB),
            env=environment(home, REGROW_MIRROR=http.address),
            cwd=tmp_path,
        ) as terminal,
    ):
        wait_for("a download", lambda: list_files(home / "downloads"), 60, every_s=0.05)
        assert len(terminal.list_family()) == 2
        interrupt(terminal, "SIGKILL")


SCRIPT = """
import gc, hashlib, os, signal, sys
from regrow.base.interruption import interruptible, last_words

# A job in the background of a shell is started with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def collecting(phase, _info):
    os.kill(os.getpid(), signal.SIGTERM)
    gc.callbacks.remove(collecting)
    [None for _ in range(1000)]  # here Python runs the signal's handler

with interruptible(lambda stage: print("announced", flush=True)):
    with last_words(lambda: print("told", flush=True)):
        try:
            if sys.argv[1] == "compiled code":
                print("ready", flush=True)
                hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
            gc.callbacks.append(collecting)
            gc.collect()
            while True:
                pass
        finally:
            print("wound up", flush=True)
"""


@pytest.mark.parametrize(
    ("where", "printed"),
    [("compiled code", "announced told"), ("a collection of garbage", "announced wound up")],
)
def test_an_interruption_is_obeyed_wherever_the_main_thread_is(where: str, printed: str) -> None:
    """In compiled code it cannot be raised, and while garbage is collected nobody can catch it."""
    command = [sys.executable, "-c", SCRIPT, where]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        if where == "compiled code":
            assert process.stdout.readline() == "ready\n"
            used = psutil.Process(process.pid).cpu_times
            before = used().user
            wait_for("work", lambda: used().user > before + 0.3, 60, every_s=0.05)
            process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 130
        finally:
            process.kill()  # it would compute for hours, and the block waits for its end
        assert process.stdout.read().split() == printed.split()
        assert process.stderr.read() == ""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


def prepare_home(trained: Path, tmp_path: Path) -> Path:
    """A home in which everything before the training is done."""
    home = tmp_path / "home"
    for stage in ("download", "clean", "validate"):
        place = Path("store", "air-quality", stage)
        shutil.copytree(trained / place, home / place)
    return home


def list_checkpoints(home: Path) -> list[Path]:
    found = home.glob("scratch/air-quality/train/*/*/[!.]*")
    return sorted(path for path in found if path.is_file())


def read_states(home: Path, kind: str) -> set[str]:
    """The states of the runs of the server that ended with the command."""
    with sqlite3.connect(home / "prefect" / "prefect.db") as connection:
        return {state for (state,) in connection.execute(f"SELECT state_name FROM {kind}_run")}


@pytest.mark.e2e
@pytest.mark.parametrize("how", ["keys", "keys twice", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_training_on_a_server_of_its_own(how: str, trained: Path, tmp_path: Path) -> None:
    home = prepare_home(trained, tmp_path)
    with run_at_terminal(environment(home), tmp_path, "--sample", "--set", "seeds=2") as terminal:
        terminal.wait_for("starting Prefect...", 30)
        wait_for("a checkpoint", lambda: list_checkpoints(home), every_s=0.1)
        interrupt(terminal, how)
    if how != "SIGKILL":
        assert read_states(home, "flow") == {"Cancelled"}
        assert "Running" not in read_states(home, "task")
        assert "interrupted in train" in terminal.shown


@pytest.mark.e2e
def test_a_training_without_a_server_continues_where_it_was(trained: Path, tmp_path: Path) -> None:
    home = prepare_home(trained, tmp_path)
    options = ("--sample", "--set", "seeds=2", "--no-prefect")
    with run_at_terminal(environment(home), tmp_path, *options) as terminal:
        wait_for("a checkpoint", lambda: list_checkpoints(home), every_s=0.1)
        interrupt(terminal, "keys")
    assert "interrupted in train" in terminal.shown
    first = list_checkpoints(home)[0]
    with run_at_terminal(environment(home), tmp_path, *options) as terminal:
        terminal.wait_for("report:")
        assert terminal.process.wait(60) == 0
    (trained_again,) = (home / "store/air-quality/train").glob("*/manifest.json")
    assert json.loads(trained_again.read_text())["fingerprint"] == first.parents[1].name
    assert not first.exists()


@pytest.mark.e2e
@pytest.mark.parametrize("how", ["keys", "SIGTERM"])
def test_a_training_on_the_users_server(
    how: str, server: Server, trained: Path, tmp_path: Path
) -> None:
    home = prepare_home(trained, tmp_path)
    env = {**server.env, "REGROW_HOME": str(home)}
    with run_at_terminal(env, tmp_path, "--sample", "--set", "seeds=2") as terminal:
        wait_for("a checkpoint", lambda: list_checkpoints(home), every_s=0.1)
        interrupt(terminal, how)
    assert "starting Prefect" not in terminal.shown
    run = server.flow_runs("CANCELLED", flow="air-quality")[-1]
    states = {task["state_type"] for task in server.task_runs(run["id"])}
    assert "RUNNING" not in states
