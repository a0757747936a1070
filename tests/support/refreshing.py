"""A source whose file changes upstream."""

from __future__ import annotations

import hashlib
from pathlib import Path

from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.sources.announcements import SourceCheck
from regrow.sources.refresh import check_source
from regrow.sources.retries import Retries
from tests.support.projects import write_project
from tests.support.upstreams import pack

FIRST, SECOND, THIRD = b"a;b\n1;2\n", b"a;b\n1;2\n3;4\n", b"a;b\n5;6\n"


NAME = "air-quality"


QUICK = Retries(attempts=2, first_delay_s=0.001, max_delay_s=0.01)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def declare(folder: Path, url: str, csv: bytes = FIRST, extra: str = "refresh = true") -> None:
    archive = pack({"air.csv": csv})
    write_project(
        folder,
        f"""
        [air-quality]
        title = "a local source"
        homepage = "http://127.0.0.1/x"
        licence = "none"
        citation = "none"
        file = "air.csv"
        {extra}
        [air-quality.archive]
        name = "air.zip"
        mirror = "air/air.zip"
        urls = ["{url}/air.zip"]
        sha256 = "{sha256(archive)}"
        members = [{{ path = "air.csv", sha256 = "{sha256(csv)}", bytes = {len(csv)} }}]
        """,
    )


def look(settings: Settings, *, allow_older: bool = False) -> SourceCheck:
    return check_source(NAME, settings, ignore, QUICK, allow_older=allow_older)


def download(settings: Settings, version: str | None = None) -> bytes:
    """What a run's first stage leaves, with everything checked."""
    request = make_request(get_spec(NAME), versions={NAME: version} if version else None)
    pipeline = Pipeline(get_spec(NAME), request, settings)
    ref = pipeline.run_stage("download", {}, ignore)
    return pipeline.entry(ref).file("air.csv").read_bytes()
