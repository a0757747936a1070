"""Ends requests that are too slow, however little their server sends.

Time-outs of the HTTP client count from the last byte, so a server that sends one byte now and then
would never reach them. A thread therefore looks at the bytes that came, and shuts the connection
down.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from regrow.sources.retries import Retries, TransientFailure

if TYPE_CHECKING:
    import httpx

# How often the bytes are counted in one window.
LOOKS = 10


class Watch:
    """Watches the requests of one client, one at a time, while its block lasts.

    Args:
        retries: the least rate, its window, and the deadline for all requests together.
    """

    def __init__(self, retries: Retries) -> None:
        self._limits = retries
        self._end_s = time.monotonic() + retries.deadline_s
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, name="regrow-watch", daemon=True)
        self._sockets: list[socket.socket] = []
        self._response: httpx.Response | None = None
        self._active = False
        self._since_s = 0.0
        self._counted = 0
        self._failure: TransientFailure | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self._close_sockets()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Watches one request while the block lasts.

        Raises:
            TransientFailure: it was ended because it was too slow.
        """
        with self._lock:
            self._failure = None
            self._response = None
            self._since_s, self._counted = time.monotonic(), 0
            self._active = True
        try:
            yield
        except Exception as error:
            if self._failure is not None:  # the error comes of the connection's end
                raise self._failure from error
            raise
        finally:
            with self._lock:
                self._active = False
        if self._failure is not None:  # an answer without a length seems to be whole
            raise self._failure

    def follow(self, response: httpx.Response) -> None:
        """Counts the bytes of this response from now on; a hook of the client."""
        with self._lock:
            self._response, self._counted = response, 0

    def prepare(self, request: httpx.Request) -> None:
        """Follows the connections that a request opens; a hook of the client."""
        request.extensions["trace"] = self._trace

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if not event.endswith("connect_tcp.complete"):
            return
        # A duplicate, because TLS takes the original over. Shutting one down shuts down both.
        duplicate = info["return_value"].get_extra_info("socket").dup()
        with self._lock:
            self._sockets.append(duplicate)

    def _look(self) -> None:
        while not self._closed.wait(self._limits.rate_window_s / LOOKS):
            with self._lock:
                if self._active and self._failure is None:
                    self._failure = self._judge(time.monotonic())
                if self._active and self._failure is not None:
                    self._shut_down()

    def _judge(self, now_s: float) -> TransientFailure | None:
        limits = self._limits
        if now_s >= self._end_s:
            reason = f"not complete after {limits.deadline_s:g} s (REGROW_DOWNLOAD_DEADLINE_S)"
            return TransientFailure(reason, again=False)
        elapsed_s = now_s - self._since_s
        if elapsed_s < limits.rate_window_s:
            return None
        received = self._response.num_bytes_downloaded if self._response else 0
        came = received - self._counted
        if came < limits.min_bytes_per_s * elapsed_s:
            return TransientFailure(
                f"too slow: {came} bytes in {elapsed_s:.0f} s, less than "
                f"{limits.min_bytes_per_s:g} bytes/s (REGROW_DOWNLOAD_MIN_BYTES_PER_S)"
            )
        self._since_s, self._counted = now_s, received
        return None

    def _shut_down(self) -> None:
        for connection in self._sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other end has closed it already
                continue

    def _close_sockets(self) -> None:
        for connection in self._sockets:
            connection.close()
