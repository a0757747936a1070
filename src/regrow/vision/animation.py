"""Animations: GIF and WebP by Pillow, MP4 by ffmpeg where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regrow.base.errors import UserError
from regrow.base.files import atomic_write

ANIMATIONS = (".gif", ".webp", ".mp4")


def check_ffmpeg(path: Path) -> None:
    """Makes sure that an animation of this ending can be made here.

    Raises:
        UserError: MP4 is asked for and there is no ffmpeg.
    """
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise UserError(
            "MP4 output requires ffmpeg, which is not installed",
            where=str(path),
            expected="a file name that ends in .gif or .webp",
            remedies=["install ffmpeg (on Debian: apt-get install ffmpeg)"],
        )


def save_animation(frames: Sequence[Path], path: Path, *, fps: int = 12) -> Path:
    """Makes an animation of PNG files of one size; frames are read one at a time.

    Args:
        frames: PNG files of one folder named by numbers of as many digits, 00000.png and so on.
        path: ends in .gif, .webp or .mp4.
        fps: frames a second.

    Raises:
        UserError: MP4 is asked for and ffmpeg is not there, or fails.
    """
    from PIL import Image

    check_ffmpeg(path)
    options: dict[str, Any] = {"quality": 80, "method": 4} if path.suffix.lower() == ".webp" else {}
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _run_ffmpeg(frames, temporary, fps)
            return path
        first, *rest = frames
        with Image.open(first) as opened:
            opened.convert("RGB").save(
                temporary,
                save_all=True,
                append_images=(Image.open(frame).convert("RGB") for frame in rest),
                duration=round(1000 / fps),
                loop=0,
                **options,
            )
    return path


def _run_ffmpeg(frames: Sequence[Path], out: Path, fps: int) -> None:
    first = frames[0]
    # Even sides, as H.264 halves the colours' resolution.
    shape = ["-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", "-pix_fmt", "yuv420p"]
    reading = ["-framerate", str(fps), "-start_number", str(int(first.stem))]
    pattern = f"%0{len(first.stem)}d{first.suffix}"
    done = subprocess.run(
        ["ffmpeg", "-y", "-loglevel", "error", *reading, "-i", pattern, *shape, str(out.resolve())],
        cwd=first.parent,  # a % in a folder's name would be taken for a pattern
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UserError(
            "ffmpeg could not create the animation",
            where=str(out),
            received=done.stderr.strip()[-300:],
            remedies=["use .gif or .webp"],
        )
