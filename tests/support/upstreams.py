"""A web server whose files change, as those of a data set's publisher do."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import REPOSITORY
from tests.support.http_servers import Handler, serve_http


class Upstream:
    """Serves bytes by path with ETag and answers 304 to those who have them.

    Attributes:
        bodies: how many files were sent whole.
        etags: whether it sends ETags; else it says nothing of its files.
        obeys: whether it looks at what the client says it has.
        statuses: the status of the answers for a path, in place of its file.
        cut: paths of files that are sent by half.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.salt = ""
        self.bodies = 0
        self.etags = True
        self.obeys = True
        self.statuses: dict[str, int] = {}
        self.cut: set[str] = set()
        self.content_type = "application/octet-stream"

    def publish(self, path: str, content: bytes) -> None:
        """Puts a file there, or another in its place."""
        self.files[path] = content

    def etag(self, content: bytes) -> str:
        return f'"{hashlib.sha256(self.salt.encode() + content).hexdigest()[:16]}"'


@contextmanager
def serve() -> Iterator[Upstream]:
    """An upstream on a free port while the block lasts."""

    class Asked(Handler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            if path in upstream.statuses:
                self.send_error(upstream.statuses[path])
                return
            content = upstream.files.get(path)
            etag = upstream.etag(content) if content is not None else ""
            if content is None:
                self.send_response(404)
            elif upstream.obeys and self.headers.get("If-None-Match") == etag:
                self.send_response(304)
            else:
                self.send_response(200)
                self.send_header("Content-Type", upstream.content_type)
            if content is not None and upstream.etags:
                self.send_header("ETag", etag)
            found = content is not None and self.headers.get("If-None-Match") != etag
            body = content if content is not None and (found or not upstream.obeys) else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if body:
                upstream.bodies += 1
                self.wfile.write(body[: len(body) // 2] if path in upstream.cut else body)

    with serve_http(Asked) as http:
        upstream = Upstream(http.address)
        yield upstream


def pack(members: dict[str, bytes], *, comment: bytes = b"") -> bytes:
    """A zip; the comment makes other bytes of the same members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def air_quality_zip(
    hours: int = 1500, *, noise: float = 0.0, humidity_factor: float = 1.0, seed: int = 7
) -> bytes:
    """AirQualityUCI.zip with invented readings.

    Args:
        hours: rows.
        noise: how wrong the benzene is in the first 70 % of the rows, which are trained on.
        humidity_factor: above 1.0, humidity is no percentage any more.
    """
    import numpy as np

    path = REPOSITORY / "data" / "samples" / "generate_air_quality.py"
    spec = importlib.util.spec_from_file_location("generate_air_quality", path)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    readings = generator.simulate(hours, seed)
    trained = int(0.7 * hours)
    factor = 1 + noise * np.random.default_rng(seed).uniform(0, 1, trained)
    benzene = readings["benzene"].copy()
    benzene[:trained] = np.round(np.clip(benzene[:trained] * factor, 0, 190), 1)
    readings |= {"benzene": benzene, "rh": readings["rh"] * humidity_factor}
    csv = generator.format_file(generator.punch_gaps(readings, seed))
    return pack({"AirQualityUCI.csv": csv})
