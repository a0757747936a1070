"""Hostile inputs for the readers of tables with types, pictures and archives."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.harness import Fuzzed
from tests.fuzz.mutations import mutate_bytes
from tests.models.test_air_quality_tables import BAD, make_frame

PICTURES: tuple[str, ...] = (
    "PNG",
    "JPEG",
    "WEBP",
    "BMP",
    "TIFF",
    "GIF",
    "AVIF",
    "TGA",
    "PPM",
    "ICO",
    "JPEG2000",
)
PICTURES += ("PNG;16", "TIFF;F", "PNG;P", "JPEG;CMYK", "PNG;icc", "GIF;two", "TIFF;LZW", "PNG;text")
MEMBERS = {"data/a.txt": b"first " * 500, "data/b.txt": b"second " * 500}


def _make_table(chance: random.Random, number: int) -> tuple[str, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = make_frame(200)
    if number >= 0 and chance.random() < 0.4:
        change = chance.choice([change for name, (change, _) in BAD.items() if name != "infinity"])
        frame = change(frame)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    sink = io.BytesIO()
    if number >= 0 and chance.random() < 0.25:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=50)
    else:
        pq.write_table(
            table,
            sink,
            row_group_size=chance.choice((50, 1000)),
            compression=chance.choice(("none", "snappy", "zstd", "gzip", "lz4")),
            use_dictionary=chance.random() < 0.5,
            data_page_version=chance.choice(("1.0", "2.0")),
        )
    content = sink.getvalue()
    if number >= 0 and chance.random() < 0.8:
        # Most changes are behind the first bytes and before the footer, which is read first.
        body = len(content) * 2 // 3
        if chance.random() < 0.7:
            content = _mutate_in_place(content[:body], chance) + content[body:]
        else:
            content = mutate_bytes(content, chance, keep=8)
    return "some.parquet", content


def _mutate_in_place(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(8, len(data))] = chance.randrange(256)
    return bytes(data)


def _check_table(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.read_bytes().startswith(b"PAR1"):
        pq.read_metadata(path)
    else:
        pa.ipc.open_file(path)


def _read_table(path: Path, _out: Path) -> Any:
    from regrow.models.air_quality.data import read_readings

    return read_readings(path)


def _expect_table(found: Any) -> None:
    np.testing.assert_array_equal(found["nox_ppb"], make_frame(200)["nox_ppb"])


@cache
def _draw(form: str) -> bytes:
    from PIL import Image, ImageCms, PngImagePlugin

    x = np.linspace(0, 1, 96)
    row = np.stack([255 * (1 - x), 60 * np.sin(np.pi * x), 255 * x], axis=-1)
    picture = Image.fromarray(np.repeat(row[np.newaxis], 64, axis=0).astype("uint8"))
    name, _, kind = form.partition(";")
    options: dict[str, Any] = {}
    if kind == "16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype("uint16") * 257)
    elif kind == "F":
        picture = Image.fromarray(np.asarray(picture.convert("L"), "float32") / 255)
    elif kind in ("P", "CMYK"):
        picture = picture.convert(kind)
    elif kind == "icc":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        options["icc_profile"] = profile.tobytes()
    elif kind == "two":
        options.update(save_all=True, append_images=[Image.new("RGB", picture.size)])
    elif kind == "LZW":
        options["compression"] = "tiff_lzw"
    elif kind == "text":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", "x" * 3000, zip=True)
    sink = io.BytesIO()
    picture.save(sink, name, **options)
    return sink.getvalue()


def _make_picture(chance: random.Random, number: int) -> tuple[str, bytes]:
    form = PICTURES[max(number, 0) % len(PICTURES)]
    content = _draw(form)
    if number >= 0:
        content = mutate_bytes(content, chance, keep=chance.choice((0, 12, 30, 60)))
    return chance.choice(("photo.jpg", "photo.png", "photo")), content


def _check_picture(path: Path) -> None:
    from PIL import Image

    Image.open(path)


def _read_picture(path: Path, _out: Path) -> Any:
    from regrow.base.errors import DataError
    from regrow.vision.decoding import read_rgb
    from regrow.vision.pictures import read_grey, to_digit

    with suppress(DataError):  # of one brightness, say; in colour it may be read
        to_digit(read_grey(path))
    return read_rgb(path).pixels


def _expect_picture(found: Any) -> None:
    assert found.shape == (64, 96, 3)
    assert found[32, 3, 0] > 200 > 60 > found[32, 92, 0]


def _pack_zip(members: dict[str, bytes], chance: random.Random) -> bytes:
    sink = io.BytesIO()
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(sink, "w", chance.choice(ways)) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def _pack_tar(members: dict[str, bytes], chance: random.Random) -> bytes:
    sink = io.BytesIO()
    # The oldest form has no long names.
    old = [] if any(len(name) > 90 for name in members) else [tarfile.USTAR_FORMAT]
    form = chance.choice([*old, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name.startswith("link"):
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


PACKINGS: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
)
STRANGE = ("../x", "/tmp/x", "link", "data/../../x", "C:\\x", "a\\b.txt", "__MACOSX/._a", "é" * 120)


def _make_archive(chance: random.Random, number: int) -> tuple[str, bytes]:
    members = dict(MEMBERS)
    if number < 0:
        return "some.zip", _pack_zip(members, random.Random(0))
    if chance.random() < 0.3:
        members[chance.choice(STRANGE)] = b"strange"
    if chance.random() < 0.2:
        members = {f"folder/{name}": content for name, content in members.items()}
    if chance.random() < 0.1:
        members["data/a.txt"] = bytes(8_000_000)
    if chance.random() < 0.5:
        content = _pack_zip(members, chance)
        if chance.random() < 0.7:
            content = mutate_bytes(content, chance, keep=4)
        return "some.zip", content
    content = _pack_tar(members, chance)
    if chance.random() < 0.4:
        content = mutate_bytes(content, chance)
    content = chance.choice(PACKINGS)(content)
    if chance.random() < 0.4:
        content = mutate_bytes(content, chance, keep=12)
    return "some.tar", content


def _check_archive(path: Path) -> None:
    from regrow.sources.packed import archive_kind

    assert archive_kind(path) in ("zip", "tar")


def _read_archive(path: Path, out: Path) -> Any:
    from regrow.sources.given import copy_given
    from tests.sources.test_given import declare_several

    return copy_given(declare_several(), path, out)


def _expect_archive(found: Any) -> None:
    assert {name: copied.bytes for name, copied in found.items()} == {
        name: len(content) for name, content in MEMBERS.items()
    }


def _make_album(chance: random.Random, number: int) -> tuple[str, bytes]:
    members = {"a.png": _draw("PNG"), "x/b.jpg": _draw("JPEG"), "notes.txt": b"none"}
    if number < 0:
        return "photos.zip", _pack_zip(members, random.Random(0))
    if chance.random() < 0.4:
        name = chance.choice(("a.png", "x/b.jpg"))
        members[name] = mutate_bytes(members[name], chance)
    content = _pack_zip(members, chance)
    if chance.random() < 0.7:
        content = mutate_bytes(content, chance, keep=4)
    return "photos.zip", content


def _check_album(path: Path) -> None:
    zipfile.ZipFile(path).close()


def _read_album(path: Path, out: Path) -> Any:
    from regrow.vision import manifest

    notes: list[str] = []
    listed = manifest._list_pictures(path, str(path), notes)
    rows = [
        manifest._describe(out, f"photo-{n}", "photo", label, copy, notes)
        for n, (label, copy) in enumerate(listed)
    ]
    return rows, notes


def _expect_album(found: Any) -> None:
    rows, notes = found
    assert [row["width"] for row in rows] == [96, 96]
    assert "notes.txt" in notes[0]


def _import_tables() -> None:

    import regrow.models.air_quality.data  # noqa: F401


def _import_pictures() -> None:
    from PIL import Image, ImageCms

    import regrow.vision.manifest
    import regrow.vision.pictures  # noqa: F401

    Image.init()
    ImageCms.createProfile("sRGB")


def _import_archives() -> None:
    import tests.sources.test_given  # noqa: F401


READERS = (
    Fuzzed(
        "parquet",
        ("models/air_quality/typed.py",),
        _make_table,
        _check_table,
        _read_table,
        _expect_table,
        _import_tables,
    ),
    Fuzzed(
        "images",
        ("vision/decoding.py", "vision/levels.py", "vision/colour.py", "vision/pictures.py"),
        _make_picture,
        _check_picture,
        _read_picture,
        _expect_picture,
        _import_pictures,
    ),
    Fuzzed(
        "archives",
        ("sources/archives.py", "sources/packed.py", "sources/given.py"),
        _make_archive,
        _check_archive,
        _read_archive,
        _expect_archive,
        _import_archives,
    ),
    Fuzzed(
        "albums",
        ("vision/manifest.py",),
        _make_album,
        _check_album,
        _read_album,
        _expect_album,
        _import_pictures,
    ),
)
