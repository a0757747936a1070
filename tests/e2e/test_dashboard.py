"""`make ui` as a person has it: two servers and a worker, pages in a browser, Ctrl-C."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from regrow.base.dashboards import Dashboards, find_dashboards
from regrow.base.home import Home
from regrow.prefect.password import make_password
from tests.conftest import REPOSITORY
from tests.support.browser import Browser, needs_browser, run_browser
from tests.support.commands import wait_for
from tests.support.servers import Server, client_environment, free_port, stop

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


class Ui:
    """Servers and worker of `make ui` at a terminal, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        ports = {"PREFECT_PORT": free_port(), "MLFLOW_PORT": free_port()}
        url = f"http://127.0.0.1:{ports['PREFECT_PORT']}/api"
        env = client_environment(folder, url)
        # As for a person who has set nothing: Prefect's database is made in the home.
        del env["PREFECT_HOME"]
        env["HOME"] = str(folder)
        password, _generated = make_password(Home(folder / "home"))
        self.server = Server(url, {**env, "PREFECT_API_AUTH_STRING": password}, folder)
        self.mlflow = f"http://127.0.0.1:{ports['MLFLOW_PORT']}"
        self.ports = list(ports.values())
        self.log = folder / "ui.log"
        self.options = [f"{name}={port}" for name, port in ports.items()]
        del env["PREFECT_API_URL"]
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
            return "press Ctrl-C to stop" in text and "started!" in text

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
    assert {"daily", "nightly", "hourly", "gpu", "on-demand"} == names
    made = ui.server.post("deployments/filter", {})
    assert not any(schedule["active"] for d in made for schedule in d["schedules"])
    assert not any(d["paused"] for d in made)
    text = ui.read_log()
    assert "paused schedule, every day at 04:00 Etc/UTC: air-quality" in text
    assert "to activate them, use regrow ui --schedules" in text
    pages = ui.server.url.removesuffix("/api")
    assert httpx.get(f"{pages}/reports/none.html", timeout=60).status_code == 401
    assert ui.server.client.get(f"{pages}/reports/none.html").status_code == 404
    assert find_dashboards(Home(ui.server.home)) == Dashboards(pages, ui.mlflow)
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
    assert f"port {ui.ports[0]} is in use" in done.stderr
    assert "started!" not in done.stdout


@needs_browser
def test_the_artifact_page_of_a_finished_run_shows_figures_and_pictures(
    ui: Ui, tmp_path: Path
) -> None:
    server = ui.server
    parameters = {"preset": "quick", "data": "sample"}
    run_id = server.run_deployment("air-quality/daily", **parameters)
    assert server.wait_for_end(run_id)["state_type"] == "COMPLETED", ui.read_log()[-8000:]
    (artifact,) = server.post("artifacts/filter", {"artifacts": {"key": {"any_": ["air-quality"]}}})
    pages = server.url.removesuffix("/api")

    with run_browser(tmp_path / "browser") as browser:

        def read_with(text: str) -> str:
            def shown() -> str:
                page = browser.read()
                return page if text in page else ""

            return wait_for(text, shown)

        browser.open(pages)
        read_with("password")
        give_password(browser, server)
        browser.open(f"{pages}/v2/artifacts/artifact/{artifact['id']}")
        assert "Sample data" in read_with("linear regression")
        read_with('src="data:image/png;base64,')
        browser.open(f"{pages}/v2/runs")
        read_with("air-quality quick data sample-")


def give_password(browser: Browser, server: Server) -> None:
    """Does what the login form of Prefect's pages does."""
    password = server.env["PREFECT_API_AUTH_STRING"]
    browser.run(f"localStorage.setItem('prefect-password', btoa({json.dumps(password)}))")


# Without a type of content no preflight is needed, and Prefect takes the body for JSON.
ATTACK = """
(async () => {
  const type = {"Content-Type": "application/json"};
  const password = {Authorization: "Basic " + btoa(%(password)s)};
  const found = [];
  for (const attempt of [
    {mode: "cors", headers: type, body: %(body)s},
    {mode: "cors", headers: {...type, ...password}, body: %(body)s},
    {mode: "no-cors", body: new Blob([%(body)s])},
  ]) {
    try {
      const answer = await fetch(%(url)s, {method: "POST", ...attempt});
      found.push(answer.type + " " + answer.status);
    } catch (error) { found.push(error.name); }
  }
  return found;
})()
"""
FROM_OWN_PAGE = """
fetch(%s, {headers: {Authorization: "Basic " + localStorage.getItem("prefect-password")}})
  .then(answer => answer.status)
"""


class ForeignPage(BaseHTTPRequestHandler):
    """A page of another server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>harmless</h1>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@needs_browser
def test_a_foreign_page_in_a_browser_starts_no_run(ui: Ui, tmp_path: Path) -> None:
    server = ui.server
    (deployment,) = [
        found["id"]
        for found in server.post("deployments/filter", {})
        if found["entrypoint"] == "flows/models.py:air_quality"
    ]
    url = f"{server.url}/deployments/{deployment}/create_flow_run"
    body = json.dumps({"state": {"type": "SCHEDULED"}, "name": "attack"})
    port = httpx.URL(server.url).port
    with ThreadingHTTPServer(("127.0.0.1", 0), ForeignPage) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        names = "--host-resolver-rules=MAP evil.example 127.0.0.1"
        with run_browser(tmp_path / "browser", names) as browser:

            def attack(page: str, url: str) -> list[str]:
                browser.open(page)
                values = {"url": url, "body": body}
                values["password"] = server.env["PREFECT_API_AUTH_STRING"]
                quoted = {name: json.dumps(value) for name, value in values.items()}
                found: list[str] = browser.run(ATTACK % quoted)
                return found

            # Another origin: answers cannot be read, and what is sent blindly is refused.
            elsewhere = f"http://evil.example:{foreign.server_port}/"
            assert attack(elsewhere, url) == ["TypeError", "TypeError", "opaque 0"]
            # A foreign name that leads to this server: the page's own origin, and yet refused.
            rebound = f"http://evil.example:{port}"
            blind = url.replace("127.0.0.1", "evil.example")
            assert set(attack(f"{rebound}/", blind)) == {"basic 400"}
            assert "Invalid host header" in browser.read()
            # What the attacks lack is only the origin: from Prefect's own page the server answers.
            browser.open(server.url.removesuffix("/api"))
            give_password(browser, server)
            reached = browser.run(FROM_OWN_PAGE % json.dumps(f"{server.url}/admin/version"))
            assert reached == 200
        foreign.shutdown()
    named = {"flow_runs": {"name": {"any_": ["attack"]}}}
    assert server.post("flow_runs/filter", named) == []


def test_mlflow_refuses_foreign_hosts_and_origins(ui: Ui) -> None:
    address = f"{ui.mlflow}/api/2.0/mlflow/experiments/create"
    foreign = "http://evil.example"
    answer = httpx.post(address, json={"name": "x"}, headers={"Host": "evil.example"})
    assert answer.status_code == 403
    answer = httpx.post(address, json={"name": "x"}, headers={"Origin": foreign})
    assert answer.status_code == 403
    asked = {"Origin": foreign, "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in httpx.options(address, headers=asked).headers
    found = httpx.post(f"{ui.mlflow}/api/2.0/mlflow/experiments/search", json={"max_results": 9})
    assert "x" not in [one["name"] for one in found.json()["experiments"]]


def test_ctrl_c_ends_all_of_it(ui: Ui) -> None:
    os.write(ui.terminal, b"\x03")
    wait_for("the end", lambda: ui.process.poll() is not None, 120)
    wait_for("free ports", lambda: not set(ui.ports) & set(listening()), 120)
    # Before that, Prefect's server may have found its SQLite file locked, and said so at length.
    assert "Traceback" not in ui.read_log().rpartition("^C")[2]
