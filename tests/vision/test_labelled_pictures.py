"""Zips of pictures with a folder for each label."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regrow.base.errors import DataError
from regrow.base.progress import ignore
from regrow.vision.labelled import check_labelled, read_labelled, read_square, stack_pixels

RED, BLUE = (200, 10, 10), (10, 10, 200)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (16, 8)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_the_folder_of_a_picture_is_its_label(tmp_path: Path) -> None:
    path = pack(
        tmp_path / "x.zip",
        {
            "all/red/2.png": picture(RED),
            "all/blue/1.png": picture(BLUE, (4, 4)),
            "__MACOSX/all/red/._2.png": b"litter",
            "all/readme.txt": b"of no use",
        },
    )
    frame, notes = read_labelled(path, "x.zip", size=4, progress=ignore)
    assert frame["picture"].tolist() == ["all/blue/1.png", "all/red/2.png"]
    assert frame["label"].tolist() == ["blue", "red"]
    assert frame[["width", "height"]].to_numpy().tolist() == [[4, 4], [16, 8]]
    pixels = stack_pixels(frame, 4)
    assert pixels.shape == (2, 4, 4, 3)
    assert pixels[0, 0, 0].tolist() == list(BLUE)
    (tmp_path / "2.png").write_bytes(picture(RED))
    assert np.array_equal(read_square(tmp_path / "2.png", 4), pixels[1])
    assert len(notes) == 1
    assert "readme.txt" in notes[0]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"1.png": picture(RED), "2.png": picture(BLUE)}, "the pictures have no labels"),
        ({"red/1.png": picture(RED), "red/2.png": picture(RED)}, "the pictures have no labels"),
        ({"red/1.png": picture(RED), "2.png": picture(BLUE)}, "the pictures have no labels"),
        ({"red/1.txt": b"x"}, "cannot be used as a collection of pictures"),
    ],
)
def test_a_zip_without_labels_is_refused(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    path = pack(tmp_path / "x.zip", members)
    with pytest.raises(DataError, match=message):
        read_labelled(path, "x.zip", size=4, progress=ignore)
    with pytest.raises(DataError, match=message):
        check_labelled(path, "x.zip")


def test_what_cannot_be_read_is_named_by_its_place_in_the_zip(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"red/1.png": picture(RED), "blue/1.png": b"\x89PNG broken"})
    with pytest.raises(DataError) as caught:
        read_labelled(path, "mine.zip", size=4, progress=ignore)
    assert caught.value.where == "mine.zip, blue/1.png"
    (tmp_path / "y.zip").write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="the zip of pictures cannot be read"):
        check_labelled(tmp_path / "y.zip", "y.zip")


def test_what_is_lost_of_a_picture_is_said(tmp_path: Path) -> None:
    profiled, moving = io.BytesIO(), io.BytesIO()
    one = Image.new("RGB", (8, 8), RED)
    one.save(profiled, "PNG", icc_profile=b"no profile" * 20)
    one.save(moving, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), BLUE)])
    members = {"red/1.png": profiled.getvalue(), "red/2.png": profiled.getvalue()}
    path = pack(tmp_path / "x.zip", members | {"blue/3.gif": moving.getvalue()})
    _frame, notes = read_labelled(path, "x.zip", size=4, progress=ignore)
    assert len(notes) == 2
    assert "blue/3.gif" in notes[0]
    assert "colour profile" in notes[1]
    assert "red/1.png, red/2.png" in notes[1]


def test_backslashes_of_older_programs_for_windows_separate_folders(tmp_path: Path) -> None:
    members = {"all\\red\\1.png": picture(RED), "all\\blue\\2.png": picture(BLUE)}
    path = pack(tmp_path / "x.zip", members)
    check_labelled(path, "x.zip")
    frame, _notes = read_labelled(path, "x.zip", size=4, progress=ignore)
    assert sorted(frame["label"]) == ["blue", "red"]
