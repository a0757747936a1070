"""What models that make pictures share: decoding, units, backbones, gradients, files."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from PIL import Image

from regrow.base.errors import DataError, UserError
from regrow.checks.expectations import check_frame
from regrow.training.inference import find_difference, load_model
from regrow.vision.backbones import (
    BACKBONES,
    build_backbone,
    check_channel,
    cut,
    deprocess,
    list_layers,
    load_weights,
    preprocess,
)
from regrow.vision.canvas import (
    check_output,
    fit_size,
    keep_colour,
    make_sheet,
    resize,
    save_picture,
    to_bytes,
)
from regrow.vision.decoding import read_rgb
from regrow.vision.gallery import open_gallery, save_gallery
from regrow.vision.gradients import value_and_grad
from regrow.vision.manifest import COLUMNS, MEASURES, find_weights, read_manifest
from regrow.vision.manifest_expectations import EXPECTATIONS
from regrow.vision.spectrum import Spectrum

NOTOP = "mobilenet/mobilenet_v1_0.25_224_notop.weights.h5"


def draw(mode: str = "RGB", size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Red at the left, blue at the right, in between a ramp of green."""
    width, height = size
    x = np.linspace(0, 1, width)
    row = np.stack([255 * (1 - x), 60 * np.sin(np.pi * x), 255 * x], axis=-1)
    pixels = np.repeat(row[np.newaxis], height, axis=0).astype("uint8")
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("one.tif" if mode in ("CMYK", "YCbCr") else "one.png")
    draw(mode).save(path)
    found = read_rgb(path)
    assert found.mode == mode
    assert found.pixels.shape == (40, 48, 3)
    assert found.pixels.dtype == np.uint8
    expected = np.asarray(draw(mode).convert("RGB"), dtype=int)
    assert np.abs(found.pixels.astype(int) - expected).max() <= 1


def test_sixteen_bits_animations_and_turned_cameras(tmp_path: Path) -> None:
    grey = np.asarray(draw("L"))
    Image.fromarray(grey.astype("uint16") * 257).save(tmp_path / "deep.png")
    deep = read_rgb(tmp_path / "deep.png")
    assert deep.mode == "I;16"
    np.testing.assert_array_equal(deep.pixels[..., 1], grey)
    frames = [draw(), Image.new("RGB", (48, 40))]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    moving = read_rgb(tmp_path / "two.gif")
    assert moving.frames == 2
    assert moving.pixels[0, 0, 0] > 200
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise is needed
    draw().save(tmp_path / "turned.jpg", exif=exif)
    turned = read_rgb(tmp_path / "turned.jpg").pixels
    assert turned.shape == (48, 40, 3)
    assert turned[0, 0, 0] > 200 > turned[-1, 0, 0]


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    assert read_rgb(tmp_path / "clear.png").pixels.min() == 255


@pytest.mark.parametrize("case", ["empty", "cut short", "text", "huge", "tiny"])
def test_what_is_no_picture_is_refused_in_one_message(tmp_path: Path, case: str) -> None:
    path = tmp_path / "picture.jpg"
    draw(size=(400, 400)).save(path)
    whole = path.read_bytes()
    contents = {"empty": b"", "cut short": whole[: len(whole) // 2], "text": b"no picture\n"}
    if case == "huge":
        Image.new("1", (30_000, 30_000)).save(path, format="png")
    elif case == "tiny":
        Image.new("RGB", (1, 1)).save(path)
    else:
        path.write_bytes(contents[case])
    with pytest.raises(DataError) as raised:
        read_rgb(path)
    text = str(raised.value)
    assert str(path) in text
    assert "expected" in text
    if case == "huge":
        assert "900000000 pixels" in text
    if case == "tiny":
        assert "1 x 1" in text


@pytest.mark.parametrize("name", BACKBONES)
def test_units_there_and_back(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(8, 256, 3)).astype("float32")
    pixels[0] = np.arange(256)[:, np.newaxis]
    there = preprocess(name, ops.convert_to_tensor(pixels))
    back = ops.convert_to_numpy(deprocess(name, there))
    # Within float32's rounding, so that every whole number comes back exactly.
    np.testing.assert_allclose(back, pixels, atol=2e-5)
    np.testing.assert_array_equal(np.rint(back), pixels)
    units = np.random.default_rng(1).normal(size=(5, 5, 3)).astype("float32")
    again = preprocess(name, deprocess(name, ops.convert_to_tensor(units)))
    np.testing.assert_allclose(ops.convert_to_numpy(again), units, atol=2e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_units_are_those_of_keras(name: str) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, size=(4, 4, 3)).astype("float32")
    module = getattr(keras.applications, "mobilenet" if name == "mobilenet" else name)
    expected = module.preprocess_input(pixels.copy())
    found = ops.convert_to_numpy(preprocess(name, ops.convert_to_tensor(pixels)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_backbone_ends_at_the_last_layer_that_is_needed() -> None:
    model = build_backbone("vgg16", weights=None)
    part = cut(model, ["block1_conv1", "block3_pool"])
    assert part.layers[-1].name == "block3_pool"
    assert "block4_conv1" not in [layer.name for layer in part.layers]
    x = np.zeros((1, 40, 48, 3), "float32")
    shapes = {name: tuple(found.shape) for name, found in part(x).items()}
    assert shapes == {"block1_conv1": (1, 40, 48, 64), "block3_pool": (1, 5, 6, 256)}


def test_random_weights_are_seeded_and_keep_activations_alive() -> None:
    one, same, other = (build_backbone("vgg16", weights=None, seed=seed) for seed in (3, 3, 4))
    kernels = [ops.convert_to_numpy(m.get_layer("block5_conv3").kernel) for m in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    x = np.random.default_rng(0).normal(scale=60, size=(1, 64, 64, 3)).astype("float32")
    found = cut(one, ["block1_conv1", "block5_conv3"])(x)
    sizes = [float(np.std(ops.convert_to_numpy(active))) for active in found.values()]
    assert 0.1 < sizes[1] / sizes[0] < 10


def test_vgg_pools_by_average_where_asked_to() -> None:
    most, mean = (build_backbone("vgg16", weights=None, pooling=p) for p in ("max", "average"))
    x = np.random.default_rng(0).normal(scale=60, size=(1, 32, 32, 3)).astype("float32")
    found = {}
    for name, model in (("max", most), ("average", mean)):
        before, after = (
            ops.convert_to_numpy(value)
            for value in cut(model, ["block1_conv2", "block1_pool"])(x).values()
        )
        blocks = before.reshape(1, 16, 2, 16, 2, 64)
        found[name] = (blocks, after)
    np.testing.assert_allclose(found["max"][0].max(axis=(2, 4)), found["max"][1], rtol=1e-5)
    means = found["average"][0].mean(axis=(2, 4))
    np.testing.assert_allclose(means, found["average"][1], rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="no pooling layers"):
        build_backbone("mobilenet", weights=None, pooling="average")


def test_layers_are_listed_with_their_sizes_and_checked() -> None:
    model = build_backbone("mobilenet", weights=None)
    rows = {row["layer"]: row for row in list_layers(model)}
    assert rows["conv_pw_11_relu"]["height"] == 14
    assert rows["conv_pw_13_relu"]["channels"] == 256
    assert sum(row["weights"] for row in rows.values()) == model.count_params()
    with pytest.raises(UserError, match="no layer") as raised:
        cut(model, ["conv_pw_11_rel"])
    assert "conv_pw_11_relu" in str(raised.value)
    with pytest.raises(UserError, match="no channel 128") as raised:
        check_channel(model, "conv_pw_11_relu", 128)
    assert "0 to 127" in str(raised.value)


def test_weights_come_back_from_files_of_both_formats(tmp_path: Path) -> None:
    model = build_backbone("mobilenet", weights=None, seed=5)
    kernel = ops.convert_to_numpy(model.get_layer("conv_pw_3").kernel)
    model.save_weights(tmp_path / "new.weights.h5")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        save_weights_to_hdf5_group(file, model)
    (tmp_path / "without-ending").write_bytes((tmp_path / "new.weights.h5").read_bytes())
    for name in ("new.weights.h5", "old.h5", "without-ending"):
        again = build_backbone("mobilenet", weights=tmp_path / name)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(again.get_layer("conv_pw_3").kernel), kernel
        )


@pytest.mark.parametrize("case", ["other architecture", "cut short", "no HDF5", "a layer lacks"])
def test_wrong_weights_are_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "some.weights.h5"
    model = build_backbone("mobilenet", weights=None)
    if case == "other architecture":
        x = keras.Input((8, 8, 3))
        keras.Model(x, keras.layers.Conv2D(8, 3)(x)).save_weights(path)
    elif case == "a layer lacks":
        part = cut(model, ["conv_pw_5_relu"])
        part.save_weights(path)
    else:
        model.save_weights(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if case == "cut short" else b"no weights")
    with pytest.raises(DataError, match="does not contain weights of mobilenet") as raised:
        load_weights(model, path, "mobilenet")
    assert str(path) in str(raised.value)


def test_gradients_are_those_of_finite_differences() -> None:
    def function(x: Any, constants: Any) -> Any:
        terms = {"square": ops.sum(x * x * constants["scale"]), "sine": ops.sum(ops.sin(x))}
        return terms["square"] + 2 * terms["sine"], terms

    call = value_and_grad(function)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    scale = np.array([1, 2, 3, 4], "float32")
    value, terms, gradient = call(x, {"scale": scale})
    np.testing.assert_allclose(value, (x * x * scale).sum() + 2 * np.sin(x).sum(), rtol=1e-5)
    assert value == pytest.approx(terms["square"] + 2 * terms["sine"], rel=1e-5)
    np.testing.assert_allclose(gradient, 2 * x * scale + 2 * np.cos(x), rtol=1e-4, atol=1e-5)
    # Constants are no part of what was compiled.
    np.testing.assert_allclose(
        call(x, {"scale": 0 * scale})[2], 2 * np.cos(x), rtol=1e-4, atol=1e-5
    )


def test_a_gallery_holds_pictures_of_several_sizes(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    pictures = [
        ({"photo": str(n)}, chance.integers(0, 256, size=(*size, 3)).astype("uint8"))
        for n, size in enumerate([(40, 50), (60, 30)])
    ]
    save_gallery(pictures, tmp_path)
    model = load_model(tmp_path / "model.keras")
    assert find_difference(model, tmp_path / "example.npz") is None
    for (label, pixels), (known, expected) in zip(open_gallery(model), pictures, strict=True):
        assert label == known
        np.testing.assert_array_equal(pixels, expected)


def test_resizing_and_colours() -> None:
    assert fit_size((300, 400), 200) == (150, 200)
    assert fit_size((300, 400, 3), 800) == (300, 400)
    pixels = np.asarray(draw(), "float32")
    np.testing.assert_array_equal(resize(pixels, (40, 48)), pixels)
    grown = resize(pixels, (80, 96))
    np.testing.assert_allclose(grown[::2, ::2], pixels, atol=8)
    grey = np.repeat(to_bytes(pixels).mean(axis=2, keepdims=True), 3, axis=2).astype("uint8")
    coloured = keep_colour(grey, to_bytes(pixels))
    assert np.abs(coloured.astype(int).mean(axis=2) - grey[..., 0]).mean() < 40
    assert coloured[0, 0, 0] > coloured[0, 0, 2] + 50
    sheet = make_sheet([("one", to_bytes(pixels)), ("two", grey)], side=32, columns=2)
    assert sheet.shape[1] > 2 * 32


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    save_picture(np.asarray(draw()), path)
    before = path.read_bytes()

    with pytest.raises(TypeError):
        save_picture(np.zeros((2, 2, 7), "uint8"), path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["out.png"]
    with pytest.raises(UserError, match="file extension"):
        check_output(tmp_path / "out.xyz")
    with pytest.raises(UserError, match="cannot be written"):
        check_output(tmp_path / "nowhere" / "out.png")


@pytest.mark.real_data
def test_the_real_mobilenet_sees_what_it_was_trained_on(mirror: Path) -> None:
    model = build_backbone("mobilenet", weights=mirror / NOTOP)
    cat = read_rgb(mirror / "images/photo_cat_chelsea.png").pixels.astype("float32")
    found = cut(model, ["conv_pw_13_relu"])(
        preprocess("mobilenet", ops.convert_to_tensor(cat))[None]
    )
    vector = ops.convert_to_numpy(ops.mean(found["conv_pw_13_relu"], axis=(0, 1, 2)))
    assert vector.shape == (256,)
    assert 0 < np.mean(vector < 0.5) < 1, "few channels respond strongly to one picture"


def run_clean(folder: Path, sources: dict[str, Path], **settings: Any) -> Path:
    """The clean stage of deep-dream on files of one's own; returns its table."""
    from regrow.base.project import get_spec
    from regrow.base.settings import read_environment
    from regrow.pipeline.pipeline import Pipeline
    from regrow.pipeline.request import make_request

    spec = get_spec("deep-dream")
    request = make_request(spec, preset="untrained", overrides=settings, sources=sources)
    pipeline = Pipeline(spec, request, read_environment({"REGROW_HOME": str(folder / "home")}))
    download = pipeline.run_stage("download", {}, lambda *_: None)
    clean = pipeline.run_stage("clean", {"download": download}, lambda *_: None)
    return pipeline.entry(clean).file("table.parquet")


def test_the_manifest_has_the_pictures_of_a_zip_with_their_files(tmp_path: Path) -> None:
    draw("CMYK").save(tmp_path / "b.tif")
    draw("P").save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("b.tif", "a.png"):
            archive.write(tmp_path / name, f"holiday/{name}")
        archive.writestr("holiday/notes.txt", "no picture")
    table = run_clean(tmp_path, {"photo": tmp_path / "two.zip"})
    frame = pd.read_parquet(table)
    assert frame["name"].tolist() == ["photo-1", "photo-2"]
    assert frame["mode"].tolist() == ["P", "CMYK"]
    assert frame["width"].tolist() == [48, 48]
    rows = read_manifest(table, "photo")
    content = (tmp_path / "a.png").read_bytes()
    assert rows[0].sha256 == hashlib.sha256(content).hexdigest()
    assert rows[0].path.read_bytes() == content
    np.testing.assert_array_equal(rows[0].read(), read_rgb(tmp_path / "a.png").pixels)
    assert find_weights(table) is None
    found = check_frame(frame, EXPECTATIONS, id_column="name")
    assert all(check["success"] for check in found), found


def test_a_file_that_is_no_picture_is_named_as_the_person_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("no picture")
    with pytest.raises(DataError, match="cannot be read") as raised:
        run_clean(tmp_path, {"photo": path})
    assert f"where:    {path}" in str(raised.value)


def test_what_does_not_hold_of_a_manifest_is_found() -> None:
    blank = ["style-1", "style", "p", "0" * 63, 9, "L", 1, 16, 40, 7.0, 0.0]
    frame = pd.DataFrame([blank, blank], columns=[*COLUMNS, *MEASURES])
    checks = check_frame(frame, EXPECTATIONS, id_column="name")
    failed = {(one["type"], one["kwargs"].get("column")) for one in checks if not one["success"]}
    assert failed == {
        ("expect_column_values_to_be_unique", "name"),
        ("expect_column_values_to_match_regex", "sha256"),
        ("expect_column_values_to_be_between", "width"),
        ("expect_column_values_to_be_between", "contrast"),
        ("expect_column_distinct_values_to_contain_set", "role"),
    }


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_spectrum_is_another_way_to_write_pixels(power: float) -> None:
    chance = np.random.default_rng(0)
    pixels, step, gradient = chance.normal(size=(3, 40, 57, 3)).astype("float32")
    spectrum = Spectrum(pixels.shape, power)
    amplitudes = spectrum.from_pixels(pixels)
    assert amplitudes.shape == pixels.shape
    assert amplitudes.dtype == np.float32
    np.testing.assert_allclose(spectrum.to_pixels(amplitudes), pixels, atol=1e-5)
    # A step changes the value by as much, whichever way it is written.
    by_pixels = np.sum(gradient * spectrum.to_pixels(step))
    by_amplitudes = np.sum(spectrum.from_gradient(gradient) * step)
    np.testing.assert_allclose(by_pixels, by_amplitudes, rtol=1e-3)
    # Noise of equal amplitudes is as strong in pixels, and smoother.
    made = spectrum.to_pixels(step)
    assert np.std(made) == pytest.approx(1, abs=0.1)
    roughness = np.std(np.diff(made, axis=0))
    assert roughness < 1.3 if power else roughness == pytest.approx(1.4, abs=0.1)


def test_wrong_weights_are_named_as_the_person_knows_them(tmp_path: Path) -> None:
    draw().save(tmp_path / "photo.png")
    (tmp_path / "wrong.h5").write_bytes(b"no weights")
    sources = {"photo": tmp_path / "photo.png", "vgg16-imagenet": tmp_path / "wrong.h5"}
    with pytest.raises(DataError, match="does not contain weights") as raised:
        run_clean(tmp_path, sources, backbone="vgg16", weights="imagenet")
    assert raised.value.where == str(tmp_path / "wrong.h5")
