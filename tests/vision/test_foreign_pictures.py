"""Pictures as other programs and cameras write them: read alike, or refused in one message."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from regrow.base.errors import DataError
from regrow.vision.canvas import check_scaled, fit_size
from regrow.vision.decoding import MAX_PIXELS, read_rgb
from regrow.vision.pictures import read_grey, to_digit

# By the names of Pillow; what it writes and reads again without other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "TGA", "PPM", "ICO", "PCX", "SGI")
SRGB_TAGS = ("rXYZ", "bXYZ")


def draw(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Red at the left, blue at the right."""
    x = np.linspace(0, 1, size[0])
    row = np.stack([255 * (1 - x), 60 * np.sin(np.pi * x), 255 * x], axis=-1)
    return Image.fromarray(np.repeat(row[np.newaxis], size[1], axis=0).astype("uint8"))


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def save_tiff(path: Path, values: np.ndarray, **tags: int) -> Path:
    """A grey TIFF of one strip, with tags that Pillow would not write."""
    height, width = values.shape
    raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
    fields = {
        256: width,
        257: height,
        258: values.dtype.itemsize * 8,
        259: 1,
        262: tags.get("photometric", 1),
        273: 8,
        277: 1,
        278: height,
        279: len(raw),
        339: {"u": 1, "i": 2, "f": 3}[values.dtype.kind],
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
    start = 8 + len(raw)
    directory = struct.pack("<H", len(fields)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + raw + directory)
    return path


def test_a_colour_profile_is_applied_as_a_viewer_does(tmp_path: Path) -> None:
    plain = np.asarray(draw())
    exchanged = Image.fromarray(np.ascontiguousarray(plain[..., ::-1]))
    exchanged.save(tmp_path / "swapped.png", icc_profile=swapped_profile())
    found = read_rgb(tmp_path / "swapped.png")
    assert np.abs(found.pixels.astype(int) - plain).max() <= 2
    assert found.note == ""
    assert (
        np.abs(read_grey(tmp_path / "swapped.png") * 255 - np.asarray(draw().convert("L"))).max()
        < 3
    )


def test_a_colour_profile_keeps_what_is_transparent(tmp_path: Path) -> None:
    picture = draw().convert("RGBA")
    picture.putalpha(0)
    picture.save(tmp_path / "clear.png", icc_profile=swapped_profile())
    assert read_rgb(tmp_path / "clear.png").pixels.min() == 255


@pytest.mark.parametrize("case", ["damaged", "grey in colour"])
def test_a_colour_profile_that_cannot_be_used_is_ignored_and_said(
    tmp_path: Path, case: str
) -> None:
    profile = b"no profile" * 20
    if case == "grey in colour":
        profile = swapped_profile().replace(b"RGB ", b"GRAY", 1)
    draw().save(tmp_path / "one.png", icc_profile=profile)
    found = read_rgb(tmp_path / "one.png")
    np.testing.assert_array_equal(found.pixels, np.asarray(draw()))
    assert "colour profile" in found.note


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4", "i4", "f4"])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_every_depth_has_its_own_white(tmp_path: Path, kind: str, share: float) -> None:
    """The format says what white is: a picture whose brightest pixel is dark stays dark."""
    wanted = np.tile(np.linspace(0, share, 64), (40, 1))
    white = 1.0 if kind[0] == "f" else float(np.iinfo(kind).max)
    path = save_tiff(tmp_path / "one.tif", (wanted * white).astype(kind))
    np.testing.assert_allclose(read_grey(path), wanted, atol=0.005)
    np.testing.assert_allclose(read_rgb(path).pixels[..., 0], wanted * 255, atol=1.5)


def test_where_zero_is_white_deep_pictures_are_not_negatives(tmp_path: Path) -> None:
    values = (np.tile(np.linspace(0, 1, 64), (40, 1)) * 65535).astype("u2")
    grey = read_grey(save_tiff(tmp_path / "one.tif", values, photometric=0))
    np.testing.assert_allclose(grey, 1 - values / 65535, atol=1e-4)


def test_negative_brightness_is_refused(tmp_path: Path) -> None:
    values = np.tile(np.linspace(-30_000, 30_000, 64), (40, 1)).astype("i2")
    with pytest.raises(DataError, match="outside the range from black to white"):
        read_grey(save_tiff(tmp_path / "one.tif", values))


@pytest.mark.parametrize("chunk", ["tEXt", "zTXt", "iTXt"])
@pytest.mark.parametrize("after", [False, True])
def test_long_texts_in_a_png_do_not_matter(tmp_path: Path, chunk: str, after: bool) -> None:
    buffer = io.BytesIO()
    draw().save(buffer, "PNG")
    whole = buffer.getvalue()
    text = b"x" * 3_000_000
    content = {
        "tEXt": b"Comment\0" + text,
        "zTXt": b"Comment\0\0" + zlib.compress(text),
        "iTXt": b"Comment\0\1\0\0\0" + zlib.compress(text),
    }[chunk]
    name = chunk.encode()
    added = struct.pack(">I", len(content)) + name + content
    added += struct.pack(">I", zlib.crc32(name + content))
    at = whole.index(b"IEND") - 4 if after else 33
    (tmp_path / "one.png").write_bytes(whole[:at] + added * 30 + whole[at:])
    np.testing.assert_array_equal(read_rgb(tmp_path / "one.png").pixels, np.asarray(draw()))


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_whole_and_refused_when_damaged(tmp_path: Path, form: str) -> None:
    buffer = io.BytesIO()
    draw().save(buffer, form)
    whole = buffer.getvalue()
    path = tmp_path / "picture.jpg"  # whatever the name says
    path.write_bytes(whole)
    pixels = read_rgb(path).pixels.astype(int)
    assert pixels[24, 4, 0] > 180 > 60 > pixels[24, -4, 0]
    chance = random.Random(form)
    for number in range(12):
        spoilt = bytearray(whole)
        if number % 3:
            for _ in range(8):
                spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        path.write_bytes(spoilt if number % 3 else spoilt[: chance.randrange(len(whole))])
        try:
            assert read_rgb(path).pixels.ndim == 3
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_damaged_exif_data_do_not_hide_the_picture(tmp_path: Path) -> None:
    draw().save(
        tmp_path / "one.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1\x12\0\3\0\0" * 9
    )
    np.testing.assert_array_equal(read_rgb(tmp_path / "one.png").pixels, np.asarray(draw()))


def test_a_postscript_file_is_never_given_to_another_program(tmp_path: Path) -> None:
    draw().save(tmp_path / "one.eps")
    with pytest.raises(DataError, match="PostScript"):
        read_rgb(tmp_path / "one.eps")


def test_a_phones_picture_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(DataError, match="HEIC") as raised:
        read_rgb(tmp_path / "IMG_1.jpg")
    assert "save it as JPEG" in str(raised.value)


def test_a_large_jpeg_is_read_at_half_its_size(tmp_path: Path) -> None:
    Image.new("L", (8000, 6000), 128).save(tmp_path / "phone.jpg", quality=30)
    assert MAX_PIXELS < 8000 * 6000
    found = read_rgb(tmp_path / "phone.jpg")
    assert found.pixels.shape == (3000, 4000, 3)
    assert "half" in found.note


@pytest.mark.parametrize("shape", [(3000, 64), (64, 3000)])
def test_a_narrow_picture_is_judged_after_scaling(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="too narrow") as raised:
        check_scaled(shape, 512, "pan.png", allowed=4096)
    text = str(raised.value)
    assert "pan.png" in text
    assert "--set size=1500" in text
    check_scaled(shape, 1500, "pan.png", allowed=4096)
    with pytest.raises(DataError) as raised:
        check_scaled(shape, 512, "pan.png", allowed=1024)
    assert "--set" not in str(raised.value)
    assert min(fit_size(shape, 512, shortest=32)) == 32


def test_a_very_narrow_stroke_becomes_a_digit_in_bounded_memory(tmp_path: Path) -> None:
    pixels = np.full((40, 40_000), 255, "uint8")
    pixels[15:25, 100:-100] = 0
    Image.fromarray(pixels).save(tmp_path / "line.png")
    digit = to_digit(read_grey(tmp_path / "line.png"))  # its square would have 6 GiB
    assert digit.shape == (8, 8, 1)


def test_tags_of_tiff_that_are_odd_do_not_matter(tmp_path: Path) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270] = "ü" * 5000
    draw().save(tmp_path / "one.tif", tiffinfo=info)
    np.testing.assert_array_equal(read_rgb(tmp_path / "one.tif").pixels, np.asarray(draw()))


def test_signed_eight_bits_have_their_own_white(tmp_path: Path) -> None:
    values = np.tile(np.linspace(0, 127, 64), (40, 1)).astype("i1")
    path = save_tiff(tmp_path / "one.tif", values)
    np.testing.assert_allclose(read_grey(path), values / 127, atol=1e-6)
    np.testing.assert_allclose(read_rgb(path).pixels[..., 0], values / 127 * 255, atol=1)
    with pytest.raises(DataError, match="outside the range from black to white"):
        read_grey(save_tiff(tmp_path / "two.tif", values - np.int8(64)))


def test_transparent_parts_of_a_deep_png_are_white(tmp_path: Path) -> None:
    values = np.full((40, 64), 30_000, "uint16")
    values[:, 32:] = 1000
    Image.fromarray(values).save(tmp_path / "one.png", transparency=1000)
    grey = read_grey(tmp_path / "one.png")
    np.testing.assert_allclose(grey[:, :32], 30_000 / 65535, atol=1e-5)
    assert grey[:, 32:].min() == 1
    assert read_rgb(tmp_path / "one.png").pixels[:, 32:].min() == 255


def test_deep_pictures_are_refused_where_the_format_does_not_define_white(tmp_path: Path) -> None:
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16"]
    cards += [f"NAXIS{n:<3}= {size:20}" for n, size in (("", 2), (1, 64), (2, 40))]
    head = "".join(card.ljust(80) for card in [*cards, "END"]).ljust(2880).encode()
    values = np.tile(np.linspace(-30_000, 30_000, 64), (40, 1)).astype(">i2")
    (tmp_path / "sky.fits").write_bytes(head + values.tobytes().ljust(5760, b"\0"))
    Image.fromarray(np.arange(2560, dtype="int32").reshape(40, 64)).save(tmp_path / "one.im")
    for name in ("sky.fits", "one.im"):
        with pytest.raises(DataError, match="does not define which values") as raised:
            read_grey(tmp_path / name)
        assert name in str(raised.value)


def test_a_profile_of_a_deep_picture_is_not_called_invalid(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    values = (np.tile(np.linspace(0, 1, 64), (40, 1)) * 65535).astype("uint16")
    Image.fromarray(values).save(tmp_path / "one.png", icc_profile=profile)
    note = read_rgb(tmp_path / "one.png").note
    assert "only to unsigned 8-bit pictures" in note
    assert "not valid" not in note


def test_what_is_lost_of_a_grey_picture_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw().save(tmp_path / "one.png", icc_profile=b"no profile" * 20)
    frames = [draw(), Image.new("RGB", (64, 48))]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    for name in ("one.png", "two.gif"):
        read_grey(tmp_path / name)
    assert "one.png: its colour profile is not valid" in caplog.text
    assert "two.gif has 2 frames" in caplog.text
