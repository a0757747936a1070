"""`make ui` as a person has it: two servers and a worker, pages in a browser, Ctrl-C."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.servers import PATIENCE_S, Server, client_environment, free_port, stop, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="there is no Chromium: apt-get install chromium"
)


class Ui:
    """Servers and worker of `make ui` at a terminal, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        ports = {"PREFECT_PORT": free_port(), "MLFLOW_PORT": free_port()}
        url = f"http://127.0.0.1:{ports['PREFECT_PORT']}/api"
        self.server = Server(url, client_environment(folder, url), folder)
        self.mlflow = f"http://127.0.0.1:{ports['MLFLOW_PORT']}"
        self.ports = list(ports.values())
        self.log = folder / "ui.log"
        self.options = [f"{name}={port}" for name, port in ports.items()]
        env = {k: v for k, v in self.server.env.items() if k != "PREFECT_API_URL"}
        self.terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            ["make", "--no-print-directory", "ui", *self.options],
            env=env,
            cwd=REPOSITORY,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError), self.log.open("wb", buffering=0) as log:
            while shown := os.read(self.terminal, 4096):
                log.write(shown)

    def read_log(self) -> str:
        """What the terminal shows."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait(self) -> None:
        """Until everything is up that it promises."""

        def ready() -> bool:
            text = self.read_log()
            assert self.process.poll() is None, text
            return "Ctrl-C ends all" in text and "started!" in text

        wait_for("make ui", ready)


def _take_terminal() -> None:
    """As a terminal's shell has it: this is where Ctrl-C comes from, and it is heeded."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    ui = Ui(tmp_path_factory.mktemp("ui"))
    try:
        ui.wait()
        yield ui
    finally:
        stop(ui.process)


def listening() -> dict[int, set[str]]:
    """By port, the addresses that are listened on, as the kernel writes them."""
    found: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _number, local, _remote, state = line.split()[:4]
            address, _, port = local.rpartition(":")
            if state == "0A":
                found.setdefault(int(port, 16), set()).add(address)
    return found


def test_both_servers_answer_on_this_machine_only_with_everything_deployed(ui: Ui) -> None:
    assert httpx.get(f"{ui.mlflow}/health", timeout=60).status_code == 200
    names = {d["name"] for d in ui.server.post("deployments/filter", {})}
    assert {"daily", "hourly", "gpu", "on-demand"} == names
    found = listening()
    for port in ui.ports:
        assert found[port] == {"0100007F"}  # 127.0.0.1


def test_a_second_one_says_that_the_ports_are_in_use(ui: Ui) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "ui", *ui.options],
        env=ui.server.env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"port {ui.ports[0]} is in use" in done.stdout
    assert "started!" not in done.stdout


@needs_browser
def test_the_artifact_page_of_a_finished_run_shows_figures_and_pictures(
    ui: Ui, tmp_path: Path
) -> None:
    def render(url: str) -> str:
        """The page as it stands once its scripts have run."""
        done = subprocess.run(
            [
                *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *("--virtual-time-budget=30000", f"--user-data-dir={tmp_path / 'browser'}", url),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.stdout

    server = ui.server
    parameters = {"preset": "quick", "data": "sample"}
    run_id = server.run_deployment("air-quality/daily", **parameters)
    assert server.wait_for_end(run_id)["state_type"] == "COMPLETED", ui.read_log()[-8000:]
    (artifact,) = server.post("artifacts/filter", {"artifacts": {"key": {"any_": ["air-quality"]}}})
    pages = server.url.removesuffix("/api")

    def shown() -> str:
        page = render(f"{pages}/v2/artifacts/artifact/{artifact['id']}")
        return page if "linear regression" in page else ""

    page = wait_for("the page with its figures", shown)
    assert "Sample data" in page
    assert page.count('src="data:image/png;base64,') >= 1
    runs = wait_for("the list of runs", lambda: render(f"{pages}/v2/runs"))
    assert "air-quality quick data sample-" in runs


def test_ctrl_c_ends_all_of_it(ui: Ui) -> None:
    os.write(ui.terminal, b"\x03")
    wait_for("the end", lambda: ui.process.poll() is not None, 120)
    wait_for("free ports", lambda: not set(ui.ports) & set(listening()), 120)
    assert "Traceback" not in ui.read_log()
