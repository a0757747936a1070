"""HTTP servers of tests: on a free port of this machine, in a thread, silent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """A handler that logs nothing."""

    def log_message(self, format: str, *args: Any) -> None: ...


class HttpServer(ThreadingHTTPServer):
    """A server whose clients may hang up; handlers find `parent` by it."""

    daemon_threads = True

    def __init__(self, handler: Any, parent: Any = None) -> None:
        self.parent = parent
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None: ...

    def close(self) -> None:
        """Ends it, and waits for its thread."""
        self.shutdown()
        self.server_close()
        self.thread.join()


@contextmanager
def serve_http(handler: Any) -> Iterator[HttpServer]:
    """A server while the block lasts."""
    server = HttpServer(handler)
    try:
        yield server
    finally:
        server.close()


class Chat(HttpServer):
    """A chat service: keeps what is posted, answers with `status` after `delay_s` seconds."""

    status = 204
    delay_s = 0.0

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.paths: list[str] = []
        super().__init__(_Posted)


class _Posted(Handler):
    server: Chat

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))
        self.server.paths.append(self.path)
        time.sleep(self.server.delay_s)
        self.send_response(self.server.status)
        self.end_headers()
