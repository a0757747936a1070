"""Downloads one member of a zip on a web server without the rest of the zip.

The zip is read like a file with random access, by HTTP ranges (RFC 9110, section 14): its list of
members from the end, then the member, block by block. zipfile unpacks it and checks its CRC.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from regrow.base.archive_members import is_damage
from regrow.sources.archives import CopiedFile, Reader, TooLarge, copy_stream
from regrow.sources.download import Expected
from regrow.sources.http import NO_HEADERS, Session, check_status, open_response, open_session
from regrow.sources.retries import LocationError, Retries, TransientFailure, retry

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK_BYTES = 2 << 20


def download_member(
    url: str,
    part: Path,
    expected: Expected,
    *,
    report: Callable[[int, int], None],
    retries: Retries,
    headers: Mapping[str, str] = NO_HEADERS,
) -> None:
    """Leaves a member of a remote zip at `part`, whole and with the expected digest.

    Each block is requested again while it fails for a transient reason. A kill loses what was
    received.

    Args:
        url: the zip's address, "#" and the member's path in it.
        part: the temporary file, which is overwritten.
        expected: digest and size of the member.
        report: called as `report(done_bytes, total_bytes)`.
        retries: attempts, waits and time-outs of each block.
        headers: of the source; see `open_session`.

    Raises:
        LocationError: the address did not provide it.
    """
    address, _, member = url.partition("#")
    try:
        with open_session(retries, headers) as session:
            remote = _RemoteFile(session, address, retries)
            copied = _copy_member(remote, member, part, expected.limit_bytes, report)
    except KeyError as error:
        raise LocationError(f"the zip has no member {member}", kind="changed") from error
    except TooLarge as error:
        reason = f"changed upstream: more than {expected.limit_bytes} bytes; expected {expected}"
        raise LocationError(reason, kind="changed") from error
    except Exception as error:
        # zipfile raises RuntimeError for a member that is encrypted.
        if not (is_damage(error) or isinstance(error, RuntimeError)):
            raise
        raise LocationError(f"the zip cannot be read: {error}", kind="corrupt") from error
    if problem := expected.find_problem(part, copied.sha256):
        raise LocationError(f"changed upstream: different {member}; {problem}", kind="changed")


def _copy_member(
    remote: _RemoteFile,
    member: str,
    part: Path,
    limit_bytes: int,
    report: Callable[[int, int], None],
) -> CopiedFile:
    with (
        zipfile.ZipFile(io.BufferedReader(remote, BLOCK_BYTES)) as archive,
        archive.open(member) as reader,
    ):
        reported = _ReportingReader(reader, report, archive.getinfo(member).file_size)
        return copy_stream(reported, part, limit_bytes=limit_bytes)


class _ReportingReader:
    """Reports how much of `reader` has been read."""

    def __init__(self, reader: Reader, report: Callable[[int, int], None], total: int) -> None:
        self.reader = reader
        self.report = report
        self.total = total
        self.done = 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = self.reader.read(size)
        self.done += len(chunk)
        self.report(self.done, self.total)
        return chunk


class _RemoteFile(io.RawIOBase):
    """A file on a web server; each read is one request for that range of bytes."""

    def __init__(self, session: Session, url: str, retries: Retries) -> None:
        self.session = session
        self.url = url
        self.retries = retries
        self.position = 0
        self.size = 0
        self.read_range(0, 1)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.position = (
            offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        )
        return self.position

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        length = min(len(view), self.size - self.position)
        if length <= 0:
            return 0
        view[:length] = self.read_range(self.position, length)
        self.position += length
        return length

    def read_range(self, start: int, length: int) -> bytes:
        """The bytes from `start` on; a request that fails for a transient reason is repeated."""
        return retry(partial(self._request, start, length), self.retries)

    def _request(self, start: int, length: int) -> bytes:
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        with open_response(self.session, self.url, headers) as response:
            check_status(response, start)
            if response.status_code != 206:
                raise LocationError("the server does not support range requests")
            total = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
            if total is None or self.size not in (0, int(total[1])):
                raise LocationError("the server does not report the size of the file")
            self.size = int(total[1])
            content = b""
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > length:
                    raise LocationError("returns a different part of the file than requested")
        if len(content) < length:
            raise TransientFailure(f"{len(content)} of {length} bytes received", cut=True)
        return content
