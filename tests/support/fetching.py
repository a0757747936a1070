"""A source that is a member of a zip, and a web server for a folder."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from regrow.sources.fetch import Source, fetch, source_version
from regrow.sources.retries import Retries
from tests.support.http_servers import Handler, HttpServer
from tests.support.upstreams import pack

CSV = b"Date;Time;CO(GT)\r\n" + random.Random(3).randbytes(50_000).hex().encode()


QUICK = Retries(attempts=2, first_delay_s=0.001, max_delay_s=0.01)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as container:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            container.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ZIP = pack({"readings.csv": CSV, "readings.xlsx": b"not wanted"})


class Upstream:
    """A web server for a folder, which counts the requests and may wait before it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        upstream = self

        class Asked(Handler, SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.paths.append(self.path)
                upstream.may_answer.wait(60)
                super().do_GET()

        self.http = HttpServer(partial(Asked, directory=folder))
        self.url = self.http.address


def declare(*urls: str, **changes: Any) -> Source:
    """A source whose file is a member of a zip."""
    archive = {
        "name": "readings.zip",
        "mirror": "air/readings.zip",
        "urls": urls,
        "sha256": sha256(ZIP),
        "bytes": len(ZIP),
        "members": [{"path": "readings.csv", "sha256": sha256(CSV), "bytes": len(CSV)}],
    }
    table = {
        "name": "readings",
        "title": "Readings",
        "homepage": "https://example.org/readings",
        "doi": "10.1000/182",
        "licence": "CC BY 4.0",
        "citation": "Someone (2008). Readings.",
        "sample": "samples/readings.csv",
        "file": "readings.csv",
        "archive": archive,
    }
    return Source.model_validate({**table, **changes})


def get(source: Source, folder: Path, **options: Any) -> dict[str, Any]:
    """Fetches into folder/out, with the cache in folder/downloads."""
    defaults: dict[str, Any] = {
        "downloads": folder / "downloads",
        "mirror": None,
        "local": None,
        "sample": False,
        "data_dir": folder / "data",
        "progress": lambda _what, _done, _total: None,
        "retries": QUICK,
    }
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return fetch(source, folder / "out", **{**defaults, **options})


def files_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


def version(source: Source, **options: Any) -> str:
    defaults: dict[str, Any] = {"sample": False, "local": None, "data_dir": Path()}
    return source_version(source, **{**defaults, **options})
