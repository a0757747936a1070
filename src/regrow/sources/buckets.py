"""Files in object storage, through pyarrow's file systems: s3://, gs:// and abfs://.

Credentials come from where the storage's own tools look for them, such as AWS_ACCESS_KEY_ID or a
role of the machine; an address that holds some is refused, because addresses are logged and shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from regrow.base.secrets import has_credentials
from regrow.sources.retries import LocationError, TransientFailure

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss")


class BucketFile:
    """An object that is being read; what cannot be read is a `LocationError`.

    Attributes:
        stat: `st_size` in bytes and `st_mtime_ns`, as of a file.
    """

    def __init__(self, stream: Any, info: Any) -> None:
        self._stream = stream
        self.stat = SimpleNamespace(st_size=info.size, st_mtime_ns=info.mtime_ns)

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        try:
            return bytes(self._stream.read(None if size < 0 else size))
        except OSError as error:
            raise TransientFailure(f"cannot be read: {error}") from error


def is_bucket(address: str) -> bool:
    """Whether an address is of object storage."""
    return urlsplit(address).scheme.lower() in SCHEMES


@contextmanager
def open_object(address: str) -> Iterator[BucketFile]:
    """Opens an object.

    Raises:
        LocationError: there is none, the address cannot be used, or the storage does not answer.
    """
    from pyarrow import fs

    if has_credentials(address):
        raise LocationError(
            "the address contains credentials, but addresses are logged and displayed"
        )
    try:
        files, path = fs.FileSystem.from_uri(address)
        info = files.get_file_info(path)
        if info.type != fs.FileType.File:
            raise LocationError("the object does not exist", kind="absent")
        stream = files.open_input_stream(path)
    except (ValueError, NotImplementedError) as error:
        raise LocationError(f"the address is not valid: {error}") from error
    except OSError as error:
        raise TransientFailure(f"the storage does not respond: {error}") from error
    with stream:
        yield BucketFile(stream, info)
