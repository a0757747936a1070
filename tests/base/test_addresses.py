"""Paths as people give them, also as file:// URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.base.addresses import read_path
from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.options import parse_source_list
from regrow.pipeline.request import make_request
from regrow.sources.locations import list_locations
from regrow.sources.source import Source


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "file://localhost{path}"])
def test_a_path_and_a_file_url_are_the_same(tmp_path: Path, form: str) -> None:
    text = form.format(path=tmp_path)
    assert read_path(text, "here") == tmp_path.resolve()
    home = {"REGROW_HOME": str(tmp_path / "home"), "REGROW_MIRROR": text}
    assert read_environment(home).mirror == str(tmp_path.resolve())
    assert parse_source_list([f"photo={text}"]) == [("photo", tmp_path.resolve())]


def test_a_link_is_named_as_it_was_given(tmp_path: Path) -> None:
    """As DVC and git-annex keep a file, whose own name says nothing."""
    (tmp_path / "0f3a").write_text("x;y")
    (tmp_path / "readings.csv").symlink_to(tmp_path / "0f3a")
    link = tmp_path / "readings.csv"
    assert read_path(str(link), "here") == link
    request = make_request(get_spec("air-quality"), sources={"air-quality": link})
    assert request.sources == {"air-quality": link}


def test_a_home_and_a_source_can_be_file_urls(tmp_path: Path) -> None:
    url = (tmp_path / "my home").as_uri()
    assert read_environment({"REGROW_HOME": url}).home.path == tmp_path.resolve() / "my home"
    with pytest.raises(UserError, match="not a file or folder on this machine"):
        read_environment({"REGROW_HOME": "s3://bucket/home"})
    source = Source(
        name="readings",
        title="t",
        homepage="https://example.org/",
        licence="l",
        citation="c",
        file="readings.csv",
        refresh=True,
        plain={"name": "readings.csv", "path": (tmp_path / "readings.csv").as_uri()},
    )
    [location] = list_locations(source, None)
    assert location.address == str(tmp_path / "readings.csv")


def test_signs_in_a_file_url_are_unquoted() -> None:
    assert read_path("file:///data/my%20mirror", "here") == Path("/data/my mirror")


@pytest.mark.parametrize("text", ["file://server/share", "s3://bucket/data", "ftp://host/data"])
def test_other_addresses_are_refused_for_what_they_are(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="not a file or folder on this machine") as raised:
        read_environment({"REGROW_HOME": str(tmp_path / "home"), "REGROW_MIRROR": text})
    assert text in str(raised.value)
    assert "REGROW_MIRROR" in str(raised.value)
    with pytest.raises(UserError, match="not a file or folder"):
        parse_source_list([f"photo={text}"])


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:5000",
        "https://me:secret@mlflow.example.org/below",
        "sqlite:///mlflow.db",
        "sqlite:////srv/mlflow.db",
        "sqlite+pysqlite:///file:/srv/a%3Fb.db?uri=true",
        "postgresql+psycopg2://me:secret@host:5432/mlflow",
        "mysql+pymysql://host/mlflow",
    ],
)
def test_servers_and_databases_keep_models(tmp_path: Path, address: str) -> None:
    home = {"REGROW_HOME": str(tmp_path / "home"), "MLFLOW_TRACKING_URI": address}
    assert read_environment(home).tracking_uri == address


@pytest.mark.parametrize(
    "address",
    [
        "mlruns",
        "/srv/mlruns",
        "file:///srv/mlruns",
        "file:mlruns",
        "nonsense://me:secret@host",
        "127.0.0.1:5000",
        "databricks",
        "databricks://profile",
        "uc:http://host",
        "http://",
        "http://host:port",
        "http://[::1",
        "sqlite://",
        "sqlite:mlflow.db",
    ],
)
def test_what_keeps_no_models_is_refused_with_the_variable(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match="cannot keep models") as raised:
        read_environment({"REGROW_HOME": str(tmp_path / "home"), "MLFLOW_TRACKING_URI": address})
    assert raised.value.where == "the environment variable MLFLOW_TRACKING_URI"
    assert "secret" not in str(raised.value)
    assert str(raised.value.received).startswith(address.partition("me:")[0])
