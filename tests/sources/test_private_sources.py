"""Sources that need a secret: a table of a database, and a server that asks for a token."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from regrow.base.errors import SourceError, UserError
from regrow.base.progress import ignore
from regrow.sources.catalog import declared_sources
from regrow.sources.refresh import check_source
from tests.sources.test_project_sources import declare, download
from tests.support.http_servers import Handler, serve_http
from tests.support.projects import use_project

QUERY = "SELECT id, x, note FROM rows ORDER BY id"
TOKEN = "a-token-of-24-characters"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("REGROW_MIRROR", raising=False)
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{tmp_path / 'sales.db'}")
    monkeypatch.setenv("ROWS_TOKEN", TOKEN)
    with use_project(tmp_path, "mine"):
        yield tmp_path


def execute(project: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(project / "sales.db")) as database, database:
        found = []
        for statement in statements:
            found = database.execute(statement).fetchall()
        return found


def read(project: Path, content: bytes) -> list[dict[Hashable, Any]]:
    (project / "got.parquet").write_bytes(content)
    frame = pd.read_parquet(project / "got.parquet")
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def test_a_query_is_pinned_by_the_first_run_and_asked_again_by_a_refresh(project: Path) -> None:
    execute(
        project,
        "CREATE TABLE rows (id INTEGER, x REAL, note TEXT)",
        "INSERT INTO rows VALUES (2, 1.5, 'é'), (1, NULL, NULL)",
    )
    settings = declare(project, f'regrow.sql("{QUERY}", database="${{WAREHOUSE_URL}}")')
    first = [{"id": 1, "x": None, "note": None}, {"id": 2, "x": 1.5, "note": "é"}]
    assert read(project, download(settings)) == first
    assert check_source("mine", settings, ignore).outcome == "unchanged"
    execute(project, "INSERT INTO rows VALUES (3, 2.0, 'new')")
    assert read(project, download(settings)) == first
    assert check_source("mine", settings, ignore).outcome == "changed"
    assert read(project, download(settings))[2] == {"id": 3, "x": 2.0, "note": "new"}


def test_a_shared_query_is_declared_in_the_project_file(project: Path) -> None:
    execute(project, "CREATE TABLE rows (x REAL)", "INSERT INTO rows VALUES (1.5)")
    (project / "regrow.toml").write_text(
        'models = ["mine"]\n[sources.rows]\nquery = "SELECT x FROM rows"\n'
        'database = "${WAREHOUSE_URL}"\n'
    )
    assert read(project, download(declare(project, '"rows"'))) == [{"x": 1.5}]


@pytest.mark.parametrize(
    ("query", "database", "message"),
    [
        ("SELECT y FROM rows", "${WAREHOUSE_URL}", "no such column: y"),
        ("SELECT x FROM none", "${WAREHOUSE_URL}", "no such table: none"),
        ("DELETE FROM rows", "${WAREHOUSE_URL}", "the query failed"),
        ("SELECT 1", "${NOT_SET}", "the environment variable NOT_SET is not set"),
        ("SELECT 1", "sqlite:////none/none.db", "there is no SQLite database /none/none.db"),
        ("SELECT 1", "nonsense://x", "the database URL is not valid"),
        ("SELECT 1", "postgresql+psycopg://me@127.0.0.1:1/x", "the database"),
    ],
)
def test_what_no_database_answers_is_said_and_nothing_is_changed(
    project: Path, query: str, database: str, message: str
) -> None:
    execute(project, "CREATE TABLE rows (x REAL)", "INSERT INTO rows VALUES (1.5)")
    settings = declare(project, f'regrow.sql("{query}", database="{database}")')
    with pytest.raises(SourceError) as caught:
        download(settings)
    assert message in str(caught.value)
    assert execute(project, "SELECT x FROM rows") == [(1.5,)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            'regrow.sql("SELECT 1", database="postgresql://me:secret1@db/x")',
            "do not write a password",
        ),
        ('regrow.file("http://example.com/x.csv", headers={"A": "${T}"})', "only sent over https"),
    ],
)
def test_a_declaration_that_gives_a_secret_away_is_refused(
    project: Path, data: str, message: str
) -> None:
    settings = declare(project, data)
    with pytest.raises(UserError, match=message) as caught:
        declared_sources(settings)["mine"]
    assert "secret1" not in str(caught.value)


def test_a_token_is_sent_to_the_declared_server_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None, str | None]] = []

    class Rows(Handler):
        def do_GET(self) -> None:
            sent = self.headers.get("X-Token"), self.headers.get("Authorization")
            asked.append((self.path, *sent))
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", elsewhere.address + "/rows.csv")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            allowed = self.server is elsewhere or sent == (TOKEN, f"Bearer {TOKEN}")
            body = b"x,y\n1,2\n" if allowed else b""
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    headers = '{"X-Token": "${ROWS_TOKEN}", "Authorization": "Bearer ${ROWS_TOKEN}"}'
    with serve_http(Rows) as here, serve_http(Rows) as elsewhere:
        data = 'regrow.file("{}/{}", headers={})'.format
        settings = declare(project, data(here.address, "rows.csv", headers))
        assert download(settings) == b"x,y\n1,2\n"
        assert asked == [("/rows.csv", TOKEN, f"Bearer {TOKEN}")]
        asked.clear()
        (project / "home").rename(project / "old")
        settings = declare(project, data(here.address, "moved.csv", headers))
        assert download(settings) == b"x,y\n1,2\n"
        assert asked == [("/moved.csv", TOKEN, f"Bearer {TOKEN}"), ("/rows.csv", None, None)]
        (project / "home").rename(project / "older")
        settings = declare(project, data(here.address, "rows.csv", "{}"))
        with pytest.raises(SourceError, match="no location could be checked"):
            download(settings)
        monkeypatch.delenv("ROWS_TOKEN")
        settings = declare(project, data(here.address, "rows.csv", headers))
        with pytest.raises(SourceError) as caught:
            download(settings)
        assert "the environment variable ROWS_TOKEN is not set" in str(caught.value)
