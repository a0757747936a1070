"""Sources that a project declares: without a digest, as local files, in its models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.base.errors import SourceError, UserError
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.stages import Stage
from regrow.sources.buckets import open_object
from regrow.sources.catalog import declared_sources
from regrow.sources.refresh import check_source, list_refreshed
from regrow.sources.retries import LocationError
from regrow.sources.versions import read_versions
from tests.support.projects import forget, use_project
from tests.support.upstreams import Upstream, serve

MODEL = """
import regrow
class Mine(regrow.Model):
    data = {data}
    table = regrow.columns(target="y", numbers=["x"])
"""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serve() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("REGROW_MIRROR", raising=False)
    with use_project(tmp_path, "mine"):
        yield tmp_path


def declare(project: Path, data: str) -> Settings:
    forget("mine")
    (project / "mine" / "model.py").write_text(MODEL.format(data=data))
    return read_environment()


def download(settings: Settings) -> bytes:
    spec = get_spec("mine")
    pipeline = Pipeline(spec, make_request(spec), settings)
    ref = pipeline.run_stage("download", {}, ignore)
    assert pipeline.components("publish", dict.fromkeys(ALL, ""))["specification"]["holds"] == []
    entry = pipeline.entry(ref)
    return entry.file(entry.facts["sources"][0]["file"]).read_bytes()


ALL: tuple[Stage, ...] = ("download", "clean", "validate", "train", "evaluate")


def test_a_url_is_pinned_by_the_first_run_and_changes_by_a_refresh_only(
    project: Path, upstream: Upstream
) -> None:
    upstream.publish("rows.csv", b"x,y\n1,2\n")
    settings = declare(project, f'regrow.csv("{upstream.url}/rows.csv")')
    assert download(settings) == b"x,y\n1,2\n"
    assert len(read_versions(settings.home, "mine")) == 1
    upstream.publish("rows.csv", b"x,y\n1,2\n3,4\n")
    assert download(settings) == b"x,y\n1,2\n"
    assert list_refreshed(settings) == ["mine"]
    assert check_source("mine", settings, ignore).outcome == "changed"
    assert download(settings) == b"x,y\n1,2\n3,4\n"


def test_a_url_that_does_not_answer_is_no_version(project: Path, upstream: Upstream) -> None:
    settings = declare(project, f'regrow.csv("{upstream.url}/none.csv")')
    with pytest.raises(SourceError, match="no location could be checked for mine"):
        download(settings)
    assert read_versions(settings.home, "mine") == []


def test_a_local_file_is_read_as_it_is_and_an_older_state_is_taken_back(project: Path) -> None:
    settings = declare(project, 'regrow.csv("rows.csv")')
    for content in (b"x,y\n1,2\n", b"x,y\n3,4\n", b"x,y\n1,2\n"):
        (project / "rows.csv").write_bytes(content)
        assert download(settings) == content
    assert len(read_versions(settings.home, "mine")) == 3


def test_models_share_what_the_project_declares(project: Path) -> None:
    (project / "regrow.toml").write_text(
        'models = ["mine"]\n[sources.rows]\npath = "rows.csv"\n[sources.bad]\nurl = "ftp://x/y"\n'
    )
    (project / "rows.csv").write_bytes(b"x,y\n1,2\n")
    settings = declare(project, '"rows"')
    assert download(settings) == b"x,y\n1,2\n"
    catalog = declared_sources(settings)
    assert (catalog["rows"].title, catalog["rows"].licence) == ("rows", "not stated")
    with pytest.raises(UserError, match="the source bad is not declared"):
        _ = catalog["bad"]


def test_a_place_without_a_digest_needs_refresh(project: Path, upstream: Upstream) -> None:
    """A file that nothing pins could be another one at every download."""
    settings = declare(project, f'regrow.csv("{upstream.url}/rows.csv", refresh=False)')
    with pytest.raises(UserError, match="is pinned by refresh = true"):
        download(settings)
    digest = "0" * 64
    settings = declare(
        project, f'regrow.csv("{upstream.url}/rows.csv", refresh=False, sha256="{digest}")'
    )
    assert declared_sources(settings)["mine"].version == digest


def test_an_object_of_storage_is_read_and_looked_at(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import fs

    from tests.support.servers import S3_ACCESS, run_s3

    for name, value in S3_ACCESS.items():
        monkeypatch.setenv(name, value)
    with run_s3() as bucket:
        address = bucket.format("rows.csv")

        def put(content: bytes) -> None:
            files, path = fs.FileSystem.from_uri(address)
            with files.open_output_stream(path) as stream:
                stream.write(content)

        settings = declare(project, f'regrow.csv("{address}")')
        with pytest.raises(SourceError, match="the object does not exist"):
            download(settings)
        put(b"x,y\n1,2\n")
        assert download(settings) == b"x,y\n1,2\n"
        put(b"x,y\n3,4\n")
        assert download(settings) == b"x,y\n1,2\n"
        assert check_source("mine", settings, ignore).outcome == "changed"
        assert download(settings) == b"x,y\n3,4\n"


def test_credentials_in_the_address_of_an_object_are_refused() -> None:
    for scheme, place in (("s3", "bucket"), ("abfs", "account.dfs.core.windows.net")):
        with (
            pytest.raises(LocationError, match="the address contains credentials"),
            open_object(f"{scheme}://name:key@{place}/rows.csv"),
        ):
            pass
