"""Keras's own settings are read as Keras reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import TrainingDiverged, UserError
from regrow.base.keras_settings import KerasSettings, read_keras_settings
from tests.support.commands import REGROW, own_environment

READ = (
    "import json, os; from regrow.base.keras_settings import read_keras_settings as read\n"
    "print(json.dumps(read(os.environ).as_json()))\n"
)
OF_KERAS = (
    "import json, keras; print(json.dumps({'backend': keras.backend.backend(),"
    "'floatx': keras.config.floatx(), 'epsilon': keras.config.epsilon(),"
    "'image_data_format': keras.config.image_data_format()}))\n"
)


def printed(code: str, keras_home: Path, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **{name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"},
            "KERAS_HOME": str(keras_home),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("stored", "environment"),
    [
        (None, {}),
        ({"backend": "jax", "floatx": "float64", "epsilon": 1e-5}, {}),
        ({"backend": "jax"}, {"KERAS_BACKEND": "tensorflow"}),
        ({"backend": "theano"}, {"KERAS_BACKEND": "jax"}),
    ],
    ids=str,
)
def test_the_settings_are_those_that_keras_itself_takes(
    tmp_path: Path, stored: dict[str, Any] | None, environment: dict[str, str]
) -> None:
    if stored is not None:
        (tmp_path / "keras.json").write_text(json.dumps(stored))
    mine = printed(READ, tmp_path, **environment)
    assert mine == printed(OF_KERAS, tmp_path, **environment)


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ({"backend": "theano"}, "theano"),
        ({"image_data_format": "channels_first"}, "channels_first"),
        ({"floatx": "bfloat16"}, "bfloat16"),
        ({"epsilon": "small"}, "small"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_a_clear_error(
    tmp_path: Path, stored: dict[str, Any], named: str
) -> None:
    (tmp_path / "keras.json").write_text(json.dumps(stored))
    # A process that has not imported Keras yet: afterwards its file is not read again.
    environment = {**own_environment(tmp_path), "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    done = subprocess.run(
        [sys.executable, *REGROW, "status"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert named in done.stderr
    assert "keras.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["a list", "a folder", "a file of another user"])
def test_a_file_that_keras_would_fail_with_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "keras.json"
    if kind == "a folder":
        path.mkdir()
    else:
        path.write_text("[]")
    if kind == "a file of another user":
        if os.geteuid() == 0:
            pytest.skip("this account may read every file")
        path.chmod(0)
    with pytest.raises(UserError, match="cannot read its settings") as raised:
        read_keras_settings({"KERAS_HOME": str(tmp_path)})
    assert raised.value.where == str(path)


def test_a_damaged_file_counts_as_none_as_keras_takes_it(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_bytes(b'{"floatx": \xff')
    assert printed(READ, tmp_path) == KerasSettings().as_json()


def test_another_backend_than_the_one_that_runs_is_refused() -> None:
    import keras

    running = keras.backend.backend()
    KerasSettings(backend=running).apply()
    other = "jax" if running != "jax" else "tensorflow"
    try:
        with pytest.raises(UserError) as error:
            KerasSettings(backend=other).apply()
    finally:
        os.environ["KERAS_BACKEND"] = running
    assert (error.value.received, error.value.expected) == (other, running)


def test_flags_that_xla_does_not_know_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    known = KerasSettings(backend="jax", variables={"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"})
    unknown = KerasSettings(backend="jax", variables={"XLA_FLAGS": "--nonsense=1"})
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    known.apply()
    with pytest.raises(UserError, match="XLA does not accept its flags") as caught:
        unknown.apply()
    assert "--nonsense=1" in str(caught.value)


def test_the_backend_is_set_for_every_stage_and_child(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    code = (
        "import json, os\n"
        "from regrow.base.keras_settings import read_keras_settings as read\n"
        "read(os.environ).apply()\n"
        "print(json.dumps(os.environ['KERAS_BACKEND']))\n"
    )
    assert printed(code, tmp_path) == "jax"


def test_under_float16_a_diverged_training_names_the_setting() -> None:
    import keras

    before = keras.config.floatx()
    try:
        keras.config.set_floatx("float16")
        half = TrainingDiverged("the training diverged", remedies=["lower the learning rate"])
    finally:
        keras.config.set_floatx(before)
    assert half.remedies == ("set floatx to float32 in keras.json", "lower the learning rate")
    assert TrainingDiverged("the training diverged").remedies == ()
