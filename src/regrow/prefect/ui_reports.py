"""The reports of the home over http: browsers open no file:// link on Prefect's pages."""

from __future__ import annotations

import base64
import secrets

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from regrow.base.dashboards import REPORTS
from regrow.base.home import Home


class Reports:
    """Answers for addresses below /reports/ and passes on all others.

    Args:
        app: what answers the others.
        home: whose reports are served, and nothing else of it.
        password: USER:PASSWORD, as Prefect's server asks for it; browsers ask the user.
    """

    def __init__(self, app: ASGIApp, home: Home, password: str | None) -> None:
        self.app = app
        self.files = _Pages(directory=home.reports, check_dir=False)
        self.password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes the request on."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{REPORTS}/"):
            await self.app(scope, receive, send)
        elif not self._may_read(Headers(scope=scope)):
            challenge = {"WWW-Authenticate": 'Basic realm="regrow"'}
            answer = PlainTextResponse("Not authorized", status_code=401, headers=challenge)
            await answer(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(f"{REPORTS}/")
        try:
            answer: Response = await self.files.get_response(path, scope)
        except HTTPException as error:
            answer = PlainTextResponse(error.detail, status_code=error.status_code)
        await answer(scope, receive, send)

    def _may_read(self, headers: Headers) -> bool:
        if not self.password:
            return True
        expected = f"Basic {base64.b64encode(self.password.encode()).decode()}"
        return secrets.compare_digest(headers.get("authorization", "").encode(), expected.encode())


class _Pages(StaticFiles):
    """Pages whose scripts reach nothing else: they share their address with Prefect's pages."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if not path.endswith(".html"):
            raise HTTPException(404)
        answer = await super().get_response(path, scope)
        answer.headers["Content-Security-Policy"] = "sandbox allow-scripts allow-popups"
        return answer
