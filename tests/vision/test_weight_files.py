"""Keras' files of weights: where they are declared to be, and what is taken for one."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from hashlib import md5, sha256
from pathlib import Path

import h5py
import keras
import pytest
from keras import ops
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from regrow.base.errors import SourceError
from regrow.base.settings import Settings, read_environment
from regrow.operations.weights import obtain_weights
from regrow.sources.catalog import load_sources
from regrow.sources.versions import read_versions
from regrow.vision.backbones import build_backbone
from tests.conftest import REPOSITORY, Regrow
from tests.support.projects import use_project
from tests.support.upstreams import Upstream, serve
from tests.vision.test_vision import draw

KERAS_FILE = "mobilenet_2_5_224_tf_no_top.h5"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serve() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose declarations name a server of the test in place of Keras'."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("REGROW_MIRROR", raising=False)
    with use_project(tmp_path, "mine"):
        (tmp_path / "regrow.toml").write_text("models = []\n")
        yield tmp_path


def declare(project: Path, backbone: str, address: str, evidence: str) -> Settings:
    (project / "regrow.toml").write_text(
        f'models = []\n[sources.{backbone}-imagenet]\nfile = "{backbone}.h5"\n'
        f'[sources.{backbone}-imagenet.plain]\nname = "{backbone}.h5"\n'
        f'urls = ["{address}"]\n{evidence}\n'
    )
    return read_environment()


def write_keras_file(path: Path, model: keras.Model) -> bytes:
    """A file in the format of those that Keras publishes."""
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_addresses_and_digests_of_vgg_are_those_of_keras(name: str) -> None:
    module = importlib.import_module(f"keras.src.applications.{name}")
    declared = load_sources(REPOSITORY / "data" / "sources.toml")[f"{name}-imagenet"].remote
    assert declared.urls == (module.WEIGHTS_PATH_NO_TOP,)
    used = inspect.getsource(module).partition("WEIGHTS_PATH_NO_TOP,\n")[2]
    assert f'file_hash="{declared.md5}"' in used


def test_the_address_of_mobilenet_is_keras_own_and_keras_checks_no_digest() -> None:
    module = importlib.import_module("keras.src.applications.mobilenet")
    declared = load_sources(REPOSITORY / "data" / "sources.toml")["mobilenet-imagenet"].remote
    assert declared.urls == (module.BASE_WEIGHT_PATH + KERAS_FILE,)
    text = inspect.getsource(module)
    assert '"mobilenet_%s_%d_tf_no_top.h5" % (alpha_text, rows)' in text
    assert "file_hash" not in text


def test_mobilenet_is_taken_by_its_structure_and_then_pinned(
    project: Path, upstream: Upstream
) -> None:
    check = 'check = "regrow.vision.weight_files:check_mobilenet"'
    settings = declare(project, "mobilenet", f"{upstream.url}/{KERAS_FILE}", check)
    model = build_backbone("mobilenet", weights=None, seed=5)
    right = write_keras_file(project / "right.h5", model)
    first = ops.convert_to_numpy(model.get_layer("conv1").kernel)
    model.get_layer("conv1").kernel.assign(first * float("nan"))
    broken = write_keras_file(project / "broken.h5", model)
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other = write_keras_file(project / "other.h5", dense)
    for wrong, said in (
        (broken, "no weights for"),
        (other, "the file does not contain weights of mobilenet"),
        (right[: len(right) // 2], "the file does not contain weights of mobilenet"),
        (b"no HDF5", "the file does not contain weights of mobilenet"),
    ):
        upstream.publish(KERAS_FILE, wrong)
        with pytest.raises(SourceError) as raised:
            obtain_weights("mobilenet", "imagenet", settings)
        assert said in str(raised.value)
        assert "--weights FILE" in str(raised.value)
        assert read_versions(settings.home, "mobilenet-imagenet") == []
    upstream.publish(KERAS_FILE, right)
    path = obtain_weights("mobilenet", "imagenet", settings)
    assert path is not None
    assert path.read_bytes() == right
    [recorded] = read_versions(settings.home, "mobilenet-imagenet")
    assert recorded.version == sha256(right).hexdigest()
    # Right in structure, and other weights.
    model.get_layer("conv1").kernel.assign(first + 1)
    upstream.publish(KERAS_FILE, write_keras_file(project / "later.h5", model))
    assert obtain_weights("mobilenet", "imagenet", settings) == path
    path.unlink()
    with pytest.raises(SourceError, match="it has changed upstream"):
        obtain_weights("mobilenet", "imagenet", settings)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.e2e
def test_dream_downloads_weights_by_md5_and_says_how_strong_that_is(
    project: Path, upstream: Upstream, mirror: Path, regrow: Regrow
) -> None:
    content = (mirror / "vgg19" / "vgg19_notop_256.weights.h5").read_bytes()
    upstream.publish("vgg19.h5", content)
    evidence = f'md5 = "{md5(content).hexdigest()}"\nbytes = {len(content)}'
    declare(project, "vgg19", f"{upstream.url}/vgg19.h5", evidence)
    draw(size=(80, 64)).save(project / "photo.png")
    small = ("--size", "64", "--steps", "1", "--octaves", "1", "--backbone", "vgg19", "--json")
    env = {"REGROW_PROJECT": str(project), "REGROW_MIRROR": "", "NO_PROXY": "127.0.0.1"}
    command = ("dream", project / "photo.png", "-o", project / "dream.png", *small)
    done = regrow(*command, env=env)
    assert done.returncode == 0, done.stderr
    assert "checked by published MD5 and length" in done.stderr
    assert sha256(content).hexdigest() in done.stderr
    json.loads(done.stdout)
    assert upstream.bodies == 1
    again = regrow(*command, env=env)
    assert again.returncode == 0, again.stderr
    assert "MD5" not in again.stderr
    assert upstream.bodies == 1
