"""Reports over http beside Prefect's pages: the home's reports, nothing else, with the password."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse

from regrow.base.dashboards import Dashboards, keep_dashboards, link_report
from regrow.base.home import Home
from regrow.prefect.ui_reports import Reports

PASSWORD = ("regrow", "a secret")
REPORT = "air-quality.sample-v1.html"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    (home.reports / "folder.html").mkdir(parents=True)
    (home.reports / REPORT).write_text("<p>a report</p>")
    (home.reports / "notes.txt").write_text("not a report")
    (home.path / "secret.html").write_text("not a report")
    (home.reports / "link.html").symlink_to(home.path / "secret.html")
    return home


def get(home: Home, path: str, auth: tuple[str, str] | None = PASSWORD) -> httpx.Response:
    app = Reports(PlainTextResponse("Prefect"), home, ":".join(PASSWORD))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, auth=auth)

    return asyncio.run(ask())


def test_a_report_is_served_with_the_password_and_confined(home: Home) -> None:
    answer = get(home, f"/reports/{REPORT}")
    assert answer.status_code == 200
    assert answer.text == "<p>a report</p>"
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("sandbox")
    for wrong in (None, ("regrow", "another")):
        refused = get(home, f"/reports/{REPORT}", wrong)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "path",
    [
        "/reports/none.html",
        "/reports/notes.txt",
        "/reports/folder.html",
        "/reports/link.html",
        "/reports/%2e%2e/secret.html",
        "/reports/..%2fsecret.html",
        "/reports//etc/hosts.html",
        "/reports/",
    ],
)
def test_nothing_else_is_served(path: str, home: Home) -> None:
    answer = get(home, path)
    assert answer.status_code == 404
    assert "not a report" not in answer.text


def test_other_addresses_are_prefects(home: Home) -> None:
    assert get(home, "/api/health", None).text == "Prefect"


def test_links_lead_to_where_the_dashboards_are(home: Home) -> None:
    report = home.reports / REPORT
    assert link_report(home, report) == report.as_uri()
    keep_dashboards(home, Dashboards("http://127.0.0.1:4300", "http://127.0.0.1:5300"))
    assert link_report(home, report) == f"http://127.0.0.1:4300/reports/{REPORT}"
