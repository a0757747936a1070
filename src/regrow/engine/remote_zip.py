"""One member of a zip on a web server, without the rest of it: only the parts that are needed come.

The zip is read like a file at any place by HTTP ranges (RFC 9110, section 14): its list of members
from the end, then the member, block by block. zipfile unpacks it on the way and checks its CRC.
"""

from __future__ import annotations

import io
import re
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from regrow.engine.archives import Reader, TooLarge, copy_stream
from regrow.engine.download import (
    Expected,
    PlaceError,
    Retries,
    Trouble,
    check_status,
    make_client,
    open_answer,
)

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Buffer

BLOCK_BYTES = 2 << 20


def download_member(
    url: str,
    part: Path,
    expected: Expected,
    *,
    report: Callable[[int, int], None],
    retries: Retries,
) -> None:
    """Leaves a member of a remote zip at `part`, whole and with the expected digest.

    Each block is asked for again while the trouble is one that may pass. A kill loses what came.

    Args:
        url: the zip's address, "#" and the member's path in it.
        part: the temporary file, written anew.
        expected: digest and size of the member.
        report: called as `report(done_bytes, total_bytes)`.
        retries: attempts, waits and time-outs of each block.

    Raises:
        PlaceError: the address did not give it.
    """
    address, _, member = url.partition("#")
    with make_client(retries) as client:
        remote = _RemoteFile(client, address, retries)
        try:
            with (
                zipfile.ZipFile(io.BufferedReader(remote, BLOCK_BYTES)) as archive,
                archive.open(member) as reader,
            ):
                counted = _Reported(reader, report, archive.getinfo(member).file_size)
                copied = copy_stream(counted, part, limit_bytes=expected.limit_bytes)
        except KeyError as error:
            raise PlaceError(f"the zip has no member {member}", kind="changed") from error
        except TooLarge as error:
            reason = f"changed upstream: more than {expected.limit_bytes} bytes"
            raise PlaceError(f"{reason}; expected {expected}", kind="changed") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise PlaceError(f"the zip cannot be read: {error}", kind="corrupt") from error
    if copied.sha256 != expected.sha256:
        received = f"received sha256 {copied.sha256} ({copied.bytes} bytes)"
        reason = f"changed upstream: another {member}; {received}, expected {expected}"
        raise PlaceError(reason, kind="changed")


class _Reported:
    """Reports what is read."""

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
    """A file on a web server; each read is a request for that part of it."""

    def __init__(self, client: httpx.Client, url: str, retries: Retries) -> None:
        self.client = client
        self.url = url
        self.retries = retries
        self.place = 0
        self.size = 0
        self.read_part(0, 1)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.place = (
            offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        )
        return self.place

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        length = min(len(view), self.size - self.place)
        if length <= 0:
            return 0
        view[:length] = self.read_part(self.place, length)
        self.place += length
        return length

    def read_part(self, start: int, length: int) -> bytes:
        """So many bytes from there on; tries again as often as may be."""
        failures = 0
        while True:
            try:
                return self._ask(start, length)
            except Trouble as trouble:
                failures += 1
                if failures >= self.retries.attempts:
                    raise PlaceError(
                        trouble.reason, kind="unreachable", transient=True
                    ) from trouble
                time.sleep(self.retries.delay_s(failures, trouble.asked_s))

    def _ask(self, start: int, length: int) -> bytes:
        import httpx

        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        try:
            with open_answer(self.client, self.url, headers) as response:
                check_status(response, start)
                if response.status_code != 206:
                    raise PlaceError("the server gives no parts of a file, only all of it")
                total = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
                if total is None or self.size not in (0, int(total[1])):
                    raise PlaceError("the server does not say how large the file is")
                self.size = int(total[1])
                content = b""
                for chunk in response.iter_raw():
                    content += chunk
                    if len(content) > length:
                        raise PlaceError("answers with another part of the file than asked for")
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise PlaceError(str(error)) from error
        except httpx.TransportError as error:
            raise Trouble(str(error) or type(error).__name__) from error
        if len(content) < length:
            raise Trouble(f"{len(content)} of {length} bytes came", cut=True)
        return content
