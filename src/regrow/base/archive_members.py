"""What archives of all kinds have in common: how damage shows, and members that nobody packed."""

from __future__ import annotations

import errno
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib

# What reading a damaged or an unusual archive raises.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    struct.error,
    NotImplementedError,
    UnicodeError,
)
# What zipfile and bz2 raise as errors of the operating system, which they are not.
NOT_OF_THE_SYSTEM = (None, errno.EINVAL)
LITTER = {"thumbs.db", "desktop.ini"}


def is_damage(error: BaseException) -> bool:
    """Whether an error says that an archive is damaged, or packed in a way that is not read."""
    if isinstance(error, (*DAMAGE, ValueError)):
        return True
    return isinstance(error, OSError) and error.errno in NOT_OF_THE_SYSTEM


def is_litter(name: str) -> bool:
    """Whether Finder, Windows or a phone added a member automatically."""
    parts = name.replace("\\", "/").rstrip("/").split("/")
    return "__MACOSX" in parts or parts[-1].startswith(".") or parts[-1].lower() in LITTER
