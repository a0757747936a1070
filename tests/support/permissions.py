"""Read-only folders for a process of root, which may otherwise write anywhere."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

LINUX_CAPABILITY_VERSION_3 = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
OVERRIDES = 0b110


def obey_file_modes() -> None:
    """Takes from this process, for good, root's right to ignore the modes of files."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    if libc.capget(header, data) == 0:
        data[0] &= ~OVERRIDES
        data[1] &= ~OVERRIDES
        if libc.capset(header, data) == 0:
            return
    raise OSError(ctypes.get_errno(), "the right to ignore file modes was not given up")


def make_read_only(folder: Path) -> None:
    """Takes away everybody's right to write below a folder."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            (Path(parent) / name).chmod(0o444)
        Path(parent).chmod(0o555)
