"""Zips of pictures as Finder, Windows and phones make them, and zips that cannot be read."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from regrow.base.errors import DataError
from tests.vision.test_vision import draw, run_clean


def encode(form: str = "PNG", pixels: int = 48) -> bytes:
    buffer = io.BytesIO()
    draw(size=(pixels, pixels)).save(buffer, form)
    return buffer.getvalue()


def pack(path: Path, members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def clean(folder: Path, photo: Path) -> tuple[pd.DataFrame, dict[str, object]]:
    table = run_clean(folder, {"photo": photo})
    facts = json.loads((table.parent / "manifest.json").read_text())["facts"]
    return pd.read_parquet(table), facts


def test_what_finder_adds_is_no_picture(tmp_path: Path) -> None:
    members = {
        "Photos/": b"",
        "Photos/a.png": encode(),
        "__MACOSX/Photos/._a.png": b"\0\5\26\7" + bytes(100),
        "Photos/.DS_Store": b"\0\0\0\1Bud1",
        "Photos/Thumbs.db": b"\xd0\xcf",
        "Photos/b.jpg": encode("JPEG"),
    }
    frame, facts = clean(tmp_path, pack(tmp_path / "photos.zip", members))
    assert frame["width"].tolist() == [48, 48]
    assert facts["notes"] == []
    assert facts["origins"] == {
        "photo-1": f"{tmp_path / 'photos.zip'}, Photos/a.png",
        "photo-2": f"{tmp_path / 'photos.zip'}, Photos/b.jpg",
    }


def test_every_format_of_pictures_is_taken_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    members = {
        "a.gif": encode("GIF"),
        "b.AVIF": encode("AVIF"),
        "c.jp2": encode("JPEG2000"),
        "d.heic": b"\0\0\0\x18ftypheic",
        "notes.txt": b"none",
    }
    frame, facts = clean(tmp_path, pack(tmp_path / "mixed.zip", members))
    assert len(frame) == 3
    assert facts["notes"] == [
        f"of {tmp_path / 'mixed.zip'} these files are not pictures and were left out: "
        "d.heic, notes.txt"
    ]


@pytest.mark.parametrize(
    "case", ["encrypted", "deflate64", "damaged", "cut short", "no pictures", "strange name"]
)
def test_a_zip_that_cannot_be_read_is_refused_in_one_message(tmp_path: Path, case: str) -> None:
    path = pack(tmp_path / "photos.zip", {"a.png": encode()})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\1\2")
    if case == "encrypted":
        content[6] |= 1
        content[central + 8] |= 1
    elif case == "deflate64":
        content[8] = content[central + 10] = 9
    elif case == "damaged":
        for at in range(60, central - 20):
            content[at] ^= 0x55
    elif case == "cut short":
        content = content[: len(content) // 2]
    elif case == "strange name":
        content[central + 46] = 0xFF
        content[central + 9] |= 8  # the name says that it is UTF-8
    path.write_bytes(content)
    if case == "no pictures":
        pack(path, {"notes.txt": b"none", "IMG_1.heic": b"\0\0\0\x18ftypheic"})
    with pytest.raises(DataError) as raised:
        run_clean(tmp_path, {"photo": path})
    text = str(raised.value)
    assert str(path) in text
    assert "what to do next" in text
    assert ("password" in text) == (case != "no pictures")
    if case == "no pictures":
        assert "IMG_1.heic, notes.txt" in text


def test_a_picture_with_a_zip_behind_it_is_a_picture(tmp_path: Path) -> None:
    path = pack(tmp_path / "other.zip", {"notes.txt": b"none"})
    (tmp_path / "photo.png").write_bytes(encode() + path.read_bytes())
    frame, _facts = clean(tmp_path, tmp_path / "photo.png")
    assert len(frame) == 1


def test_a_member_that_is_no_picture_is_named_by_the_persons_file(tmp_path: Path) -> None:
    path = pack(tmp_path / "photos.zip", {"good.png": encode(), "bad.png": b"no picture"})
    with pytest.raises(DataError, match="cannot be read") as raised:
        run_clean(tmp_path, {"photo": path})
    assert raised.value.where == f"{path}, bad.png"


def test_pictures_of_many_frames_are_said(tmp_path: Path) -> None:
    frames = [draw(), Image.fromarray(np.zeros((40, 48, 3), "uint8"))]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    _frame, facts = clean(tmp_path, tmp_path / "two.gif")
    assert facts["notes"] == [f"{tmp_path / 'two.gif'} has 2 frames; the first one is used"]


def test_what_pillow_cannot_decode_is_left_out_of_a_zip(tmp_path: Path) -> None:
    others = ("clip.mpg", "clip.mpeg", "table.h5", "wind.grib", "wind.bufr")
    path = pack(tmp_path / "mixed.zip", {"a.png": encode()} | dict.fromkeys(others, b"no picture"))
    frame, facts = clean(tmp_path, path)
    assert len(frame) == 1
    assert all(name in str(facts["notes"]) for name in others)
