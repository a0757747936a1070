"""Pictures of a user's own: every mode is read, everything else is refused in one message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from regrow.base.errors import DataError
from regrow.vision.pictures import read_grey, to_digit, to_ink


def draw_one(mode: str = "L", size: int = 64) -> Image.Image:
    """A black upright stroke on white paper."""
    picture = Image.new("L", (size, size), 255)
    ImageDraw.Draw(picture).line((size // 2, size // 8, size // 2, size * 7 // 8), 0, size // 8)
    return picture.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_is_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("one.tif" if mode == "CMYK" else "one.png")
    draw_one(mode).save(path)
    grey = read_grey(path)
    assert grey.dtype == np.float32
    assert grey[0, 0] > 0.95
    assert grey[32, 32] < 0.05


def test_sixteen_bits_and_animations(tmp_path: Path) -> None:
    deep = (np.asarray(draw_one()).astype("uint16")) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_grey(tmp_path / "deep.png"), np.asarray(draw_one()) / 255)
    frames = [draw_one(), Image.new("L", (64, 64), 0)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert read_grey(tmp_path / "two.gif")[0, 0] > 0.95


def test_a_transparent_background_is_paper(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(picture).line((32, 8, 32, 56), (0, 0, 0, 255), 8)
    picture.save(tmp_path / "clear.png")
    assert read_grey(tmp_path / "clear.png")[0, 0] == 1


def test_the_camera_that_was_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise is needed
    draw_one().resize((64, 32)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_grey(tmp_path / "turned.jpg").shape == (64, 32)


@pytest.mark.parametrize("scale", [1, 0.25])
def test_floats_are_black_at_zero_and_white_at_one(tmp_path: Path, scale: float) -> None:
    brightness = np.asarray(draw_one(), dtype="float32") / np.float32(255) * np.float32(scale)
    Image.fromarray(brightness).save(tmp_path / "one.tif")
    assert Image.open(tmp_path / "one.tif").mode == "F"
    np.testing.assert_allclose(read_grey(tmp_path / "one.tif"), brightness, atol=1e-6)


def test_floats_of_another_range_are_refused_and_not_guessed(tmp_path: Path) -> None:
    Image.fromarray(np.asarray(draw_one(), dtype="float32")).save(tmp_path / "one.tif")
    with pytest.raises(DataError, match="outside the range from black to white") as raised:
        read_grey(tmp_path / "one.tif")
    assert "from 0 to 255" in str(raised.value)


def test_a_dark_picture_of_sixteen_bits_is_no_bright_one_of_eight(tmp_path: Path) -> None:
    """Its numbers are below 256 as well, but whole ones: nearly black on black."""
    Image.fromarray(np.asarray(draw_one()).astype("uint16")).save(tmp_path / "dark.png")
    with pytest.raises(DataError, match="no visible content"):
        read_grey(tmp_path / "dark.png")
    dim = np.asarray(draw_one()).astype("uint16") * 128
    Image.fromarray(dim).save(tmp_path / "dim.png")
    assert read_grey(tmp_path / "dim.png").max() == pytest.approx(255 * 128 / 65535)


def save_empty(folder: Path, case: str) -> Path:
    white = np.full((20, 20), 255, "uint8")
    pixels = {
        "white": white,
        "black": np.zeros_like(white),
        "nearly white": white - np.eye(20, dtype="uint8") * 8,
        "clear": np.zeros((20, 20, 4), "uint8"),
        "floats": np.full((20, 20), 0.4, "float32"),
    }[case]
    path = folder / ("empty.tif" if case == "floats" else "empty.png")
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("case", ["white", "black", "nearly white", "clear", "floats"])
def test_a_picture_of_nothing_is_refused_for_that(tmp_path: Path, case: str) -> None:
    path = save_empty(tmp_path, case)
    with pytest.raises(DataError, match="no visible content") as raised:
        read_grey(path)
    text = str(raised.value)
    assert str(path) in text
    assert "of white" in text
    assert "with visible writing" in text
    assert "save it again as PNG" not in text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused_for_that(tmp_path: Path, value: float) -> None:
    pixels = np.asarray(draw_one(), dtype="float32") / 255
    pixels[3, 4] = value
    path = tmp_path / "hole.tif"
    Image.fromarray(pixels).save(path)
    with pytest.raises(DataError, match="not numbers") as raised:
        read_grey(path)
    text = str(raised.value)
    assert str(path) in text
    assert "1 of 4,096" in text
    assert "save it again as PNG" not in text


def spoil(folder: Path, case: str) -> Path:
    path = folder / "picture.png"
    draw_one().save(path)
    whole = path.read_bytes()
    if case == "huge":
        Image.new("1", (30_000, 30_000)).save(path)
    else:
        path.write_bytes(
            {"empty": b"", "cut short": whole[: len(whole) // 2], "text": b"no picture\n"}[case]
        )
    return path


@pytest.mark.parametrize("case", ["empty", "cut short", "text", "huge"])
def test_what_is_no_picture_is_refused(tmp_path: Path, case: str) -> None:
    path = spoil(tmp_path, case)
    with pytest.raises(DataError) as raised:
        read_grey(path)
    assert str(path) in str(raised.value)
    assert "cannot be read" in str(raised.value)


def test_dark_on_bright_and_bright_on_dark_are_the_same_ink() -> None:
    grey = np.asarray(draw_one(), dtype="float32") / 255
    np.testing.assert_array_equal(to_ink(grey), 1 - grey)
    np.testing.assert_array_equal(to_ink(1 - grey), 1 - grey)


def test_a_picture_becomes_a_digit() -> None:
    digit = to_digit(np.asarray(draw_one(size=200), dtype="float32") / 255)
    assert digit.shape == (8, 8, 1)
    assert digit.max() <= 16
    # An upright stroke: all of its ink is in the middle columns, from the top to the bottom.
    assert digit[:, 3:5].min() > 4
    assert digit[:, :2].max() == digit[:, 6:].max() == 0
    # Pencil on grey paper is the same digit.
    pencil = 0.7 - (1 - np.asarray(draw_one(size=200), dtype="float32") / 255) * 0.15
    np.testing.assert_allclose(to_digit(pencil), digit, atol=1e-3)
    small = np.arange(64, dtype="float32").reshape(8, 8) / 256
    np.testing.assert_allclose(to_digit(small)[..., 0], small * 16)
