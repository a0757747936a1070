"""The champion behind HTTP: MLflow's scoring server, exchanged when the alias moves.

`Champions` holds the version that answers. A request is answered to its end by the version that it
began with, so an exchange drops none.
"""

from __future__ import annotations

import gc
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from regrow.base.errors import RegrowError
from regrow.registry.scoring import Scorer, load_scorer
from regrow.registry.versions import Registry

log = logging.getLogger(__name__)

VERSION_HEADER = "X-Regrow-Version"
MAX_BODY_BYTES = 64 * 2**20
# MLflow puts the whole input before its message.
ECHO = re.compile(r"\AFailed to predict data '.*'\. \nError: ", re.DOTALL)
MAX_MESSAGE = 2000


class Champions:
    """The champion of a registered model, loaded, and exchanged when the alias moves.

    Args:
        registry: the registered model.
        version: a version that answers whatever the champion is; None for the champion.
    """

    def __init__(self, registry: Registry, version: int | None = None) -> None:
        self.registry = registry
        self.scorer: Scorer | None = None
        self._version = version
        self._stopped = threading.Event()

    def update(self) -> None:
        """Loads the version that answers from now on, if it is another one than now.

        Raises:
            UserError: it cannot be loaded; the present one goes on answering.
        """
        if self._version is not None:
            wanted = self.registry.find(self._version)
        else:
            wanted = self.registry.champion()
        present = self.scorer.version if self.scorer else None
        if wanted is None:
            self.scorer = None
        elif int(wanted.version) != present:
            self.scorer = load_scorer(self.registry, wanted)
            log.info("%s version %s answers now", self.registry.name, wanted.version)
        if (self.scorer.version if self.scorer else None) != present:
            gc.collect()  # a model and MLflow's application refer to each other

    def follow(self, every_s: float) -> None:
        """Updates again and again, until `stop`; what goes wrong is logged once."""
        trouble = ""
        while not self._stopped.wait(every_s):
            try:
                self.update()
                trouble = ""
            except Exception as error:  # the present version goes on answering
                text = str(error) if isinstance(error, RegrowError) else repr(error)
                if text != trouble:
                    log.warning("%s: %s", self.registry.name, text)
                trouble = text

    def stop(self) -> None:
        """Ends `follow`."""
        self._stopped.set()


class ServeApp:
    """The ASGI application: MLflow's paths, and those of regrow beside them.

    `/regrow/model` says which version answers, `/ready` whether one does, `/metrics` has figures
    for Prometheus. All else is MLflow's own application of the champion's version.
    """

    def __init__(self, champions: Champions) -> None:
        self.champions = champions
        self.metrics = Metrics(champions.registry.name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            return
        scorer = self.champions.scorer
        self.metrics.version.set(scorer.version if scorer else 0)
        path = scope["path"]
        if path == "/metrics":
            answer: Any = Response(generate_latest(self.metrics.registry), media_type="text/plain")
        elif path == "/regrow/model":
            answer = JSONResponse(self._describe(scorer), 200 if scorer else 503)
        elif scorer is None:
            answer = _refuse(503, f"{self.champions.registry.name} has no champion")
        elif path == "/ready":
            answer = JSONResponse({"version": scorer.version})
        elif path == "/invocations" and "content-type" not in Request(scope).headers:
            answer = _refuse(415, "a request needs the header Content-Type: application/json")
        elif int(Request(scope).headers.get("content-length") or 0) > MAX_BODY_BYTES:
            answer = _refuse(413, f"a request has at most {MAX_BODY_BYTES:,} bytes")
        else:
            answer = scorer.app
        version = str(scorer.version) if scorer else ""
        sender = _Sender(send, version)
        start = time.perf_counter()
        try:
            await answer(scope, _bounded(receive), sender.send)
        finally:
            if path == "/invocations":
                self.metrics.observe(version, sender.status, time.perf_counter() - start)

    def _describe(self, scorer: Scorer | None) -> dict[str, Any]:
        return {
            "model": self.champions.registry.name,
            "version": scorer.version if scorer else None,
            "inputs": scorer.columns if scorer else None,
        }


class Metrics:
    """The figures of a server, for Prometheus."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._model = model
        self._requests = Counter(
            "regrow_serve_requests",
            "Requests for predictions.",
            ["model", "version", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "regrow_serve_request_seconds",
            "How long requests for predictions took.",
            ["model", "version"],
            registry=self.registry,
        )
        version = Gauge(
            "regrow_serve_version",
            "The version that answers; 0: none.",
            ["model"],
            registry=self.registry,
        )
        self.version = version.labels(model)

    def observe(self, version: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(self._model, version, str(status)).inc()
        self._seconds.labels(self._model, version).observe(seconds)


class _Sender:
    """Sends a response, with the version in its head, and errors in our words."""

    def __init__(self, send: Callable[[Any], Any], version: str) -> None:
        self._send = send
        self._version = version
        self._start: dict[str, Any] = {}
        self._error = b""
        self.status = 500

    async def send(self, message: Any) -> None:
        """Passes a part of the response on; of errors once all of it is there."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._version:
                MutableHeaders(scope=message)[VERSION_HEADER] = self._version
            self._start = message
            if self.status < 400:
                await self._send(message)
        elif self.status < 400:
            await self._send(message)
        else:
            self._error += message.get("body", b"")
            if not message.get("more_body"):
                body = _reword(self._error)
                MutableHeaders(scope=self._start)["content-length"] = str(len(body))
                await self._send(self._start)
                await self._send({"type": "http.response.body", "body": body})


def _reword(body: bytes) -> bytes:
    """MLflow's description of an error, without the input and the stack that are part of it."""
    try:
        found = json.loads(body)
        found["message"] = ECHO.sub("", found["message"])[:MAX_MESSAGE]
    except (ValueError, TypeError, KeyError):
        return body[:MAX_MESSAGE]
    if found.pop("stack_trace", None):
        log.warning("a request was refused: %s", found["message"])
    return json.dumps(found).encode()


def _bounded(receive: Callable[[], Any]) -> Callable[[], Any]:
    """Receives a request's body, of which the length may not be stated, up to the limit."""
    count = 0

    async def bounded() -> Any:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > MAX_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return bounded


def _refuse(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error_code": "BAD_REQUEST", "message": message}, status)
