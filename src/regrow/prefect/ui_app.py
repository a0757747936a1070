"""Prefect's server application for this machine only: no foreign host, no foreign origin.

Prefect checks neither. Without these checks any web page that is open in a browser on this machine
could use the API: directly, or under a name of its own that it lets point to 127.0.0.1 (DNS
rebinding). uvicorn starts the application by its factory; see `regrow.prefect.ui`.
"""

from __future__ import annotations

from collections.abc import Collection

from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from regrow.base.settings import read_environment
from regrow.prefect.password import LOCAL_HOSTS
from regrow.prefect.sqlite import lock_at_begin
from regrow.prefect.ui_reports import Reports


class TrustedOriginMiddleware:
    """Refuses requests and WebSockets that pages of other origins send.

    A browser names the page's origin in every request that can change something and in every
    WebSocket; other programs name none.

    Args:
        app: what answers the other requests.
        allowed_origins: such as "http://127.0.0.1:4200".
    """

    def __init__(self, app: ASGIApp, allowed_origins: Collection[str]) -> None:
        self.app = app
        self.allowed_origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes the request on."""
        if scope["type"] in ("http", "websocket"):
            origins = Headers(scope=scope).getlist("origin")
            if not self.allowed_origins.issuperset(origins):
                await _refuse(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})  # before it is accepted, this is status 403
    else:
        await PlainTextResponse("Foreign origin", status_code=403)(scope, receive, send)


def create_local_app() -> ASGIApp:
    """Prefect's application and the reports behind the checks.

    Its own clients inside the process need none.
    """
    lock_at_begin()
    api = get_current_settings().server.api
    password = api.auth_string.get_secret_value() if api.auth_string else None
    pages = Reports(create_app(final=True), read_environment().home, password)
    checked = TrustedOriginMiddleware(pages, api.cors_allowed_origins.split(","))
    return TrustedHostMiddleware(checked, list(LOCAL_HOSTS), www_redirect=False)
