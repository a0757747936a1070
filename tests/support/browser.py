"""A real browser without a window, driven by Chromium's DevTools protocol."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.support.commands import wait_for
from tests.support.servers import stop

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"
)


class Browser:
    """One page of the browser."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.numbers = itertools.count(1)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What a method of the protocol returns."""
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.connection.recv(timeout=60))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        """What an expression of JavaScript is, once its promise is kept."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, url: str) -> None:
        """Loads a page."""
        self.call("Page.navigate", url=url)
        wait_for(
            f"the page {url}",
            lambda: self.run("document.readyState") == "complete",
        )

    def read(self) -> str:
        """The page as it is now."""
        return str(self.run("document.documentElement.outerHTML"))


@contextmanager
def run_browser(folder: Path, *options: str) -> Iterator[Browser]:
    """A browser while the block lasts; `folder` is its profile."""
    process = subprocess.Popen(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server"),
            *("--remote-debugging-port=0", f"--user-data-dir={folder}", *options, "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ready = folder / "DevToolsActivePort"
        port = wait_for("the browser", lambda: ready.exists() and ready.read_text().split("\n")[0])
        targets = httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json()
        page = next(target for target in targets if target["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None) as connection:
            yield Browser(connection)
    finally:
        stop(process)
