"""Keras's own settings, which change results: read as Keras reads them, without importing it."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from regrow.base.errors import UserError

Backend = Literal["tensorflow", "jax", "torch"]
INSTALL = {
    "tensorflow": "make setup, or pip install regrow",
    "jax": "pip install 'regrow[jax]'",
    "torch": "make torch, or pip install 'regrow[torch]'",
}
FLOATX = ("float16", "float32", "float64")
# By which a backend computes other numbers; they count where they are set.
NUMERIC_VARIABLES = ("NVIDIA_TF32_OVERRIDE", "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS")


@dataclass(frozen=True)
class KerasSettings:
    """What Keras computes with.

    Attributes:
        backend: the library that does the work.
        floatx: the default dtype of weights and activations.
        epsilon: the fuzz factor of divisions.
        image_data_format: the order of axes of pictures; the layers here need "channels_last".
        variables: environment variables that change how the backend computes.
    """

    backend: str = "tensorflow"
    floatx: str = "float32"
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"
    variables: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The settings by name, and the variables that are set."""
        found = asdict(self)
        variables: dict[str, str] = found.pop("variables")
        return found | variables

    def check_backend(self) -> None:
        """Makes sure that the backend is installed, without importing it.

        Raises:
            UserError: it is not.
        """
        if not _is_installed(self.backend):
            chosen = "KERAS_BACKEND" in os.environ
            raise UserError(
                f"Keras is configured to use the backend {self.backend}, which is not installed",
                where="the environment variable KERAS_BACKEND" if chosen else "keras.json",
                received=self.backend,
                expected=" or ".join(name for name in get_args(Backend) if _is_installed(name)),
                remedies=[
                    "set KERAS_BACKEND to an installed backend",
                    f"or install it: {INSTALL[self.backend]}",
                ],
            )

    def apply(self) -> None:
        """Makes the backend that was asked for the one that Keras uses, here and in children.

        Raises:
            UserError: it is not installed, or Keras was imported with another backend, which
                cannot be changed any more.
        """
        self.check_backend()
        if self.backend == "jax" and "XLA_FLAGS" in self.variables:
            _check_xla_flags(self.variables["XLA_FLAGS"])
        os.environ["KERAS_BACKEND"] = self.backend
        keras = sys.modules.get("keras")
        if keras is not None and keras.backend.backend() != self.backend:
            raise UserError(
                "Keras already uses another backend in this process",
                where="KERAS_BACKEND",
                received=self.backend,
                expected=str(keras.backend.backend()),
                remedies=["start a new process, or set KERAS_BACKEND before Keras is imported"],
            )


def read_keras_settings(environment: Mapping[str, str]) -> KerasSettings:
    """Reads KERAS_BACKEND and `keras.json`; where Keras runs already, what it runs with.

    Raises:
        UserError: a value that Keras or the layers here cannot work with.
    """
    path = _home(environment) / "keras.json"
    stored = _read(path)
    variables = {name: environment[name] for name in NUMERIC_VARIABLES if environment.get(name)}
    found = KerasSettings(
        backend=environment.get("KERAS_BACKEND") or stored.get("backend", KerasSettings.backend),
        floatx=stored.get("floatx", KerasSettings.floatx),
        epsilon=stored.get("epsilon", KerasSettings.epsilon),
        image_data_format=stored.get("image_data_format", KerasSettings.image_data_format),
        variables=variables,
    )
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        found = KerasSettings(
            backend=environment.get("KERAS_BACKEND") or keras.backend.backend(),
            floatx=keras.config.floatx(),
            epsilon=keras.config.epsilon(),
            image_data_format=keras.config.image_data_format(),
            variables=variables,
        )
    _check(found, path, from_file="KERAS_BACKEND" not in environment)
    return found


@functools.cache
def _check_xla_flags(flags: str) -> None:
    """Has a process of its own read the flags: XLA ends the one in which it does not know one."""
    done = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**os.environ, "XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stderr.splitlines() if "XLA_FLAGS" in line]
    if done.returncode and found:
        raise UserError(
            "XLA does not accept its flags",
            where="the environment variable XLA_FLAGS",
            received=found[-1].partition("] ")[2] or found[-1],
            remedies=["correct it, or unset XLA_FLAGS"],
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # it was imported and has no origin, or is kept from being imported
        return sys.modules.get(name) is not None


def _home(environment: Mapping[str, str]) -> Path:
    if "KERAS_HOME" in environment:  # where it is empty, Keras looks into the working directory
        return Path(environment["KERAS_HOME"]).expanduser()
    home = environment.get("HOME") or os.path.expanduser("~")
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"


def _read(path: Path) -> dict[str, Any]:
    """What the file says. What Keras itself would fail with at its import is refused."""
    problem = ""
    stored: Any = {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # Keras uses its defaults then
    except (OSError, RecursionError) as error:
        problem = str(error)
    if problem or not isinstance(stored, dict):
        raise UserError(
            "Keras cannot read its settings",
            where=str(path),
            received=problem or f"a JSON {type(stored).__name__}",
            expected='a JSON object such as {"backend": "tensorflow"}',
            remedies=[f"correct or remove {path}; Keras writes a new one"],
        )
    return stored


def _check(found: KerasSettings, path: Path, *, from_file: bool) -> None:
    where = {"backend": str(path) if from_file else "KERAS_BACKEND"}
    allowed: dict[str, tuple[str, ...]] = {
        "backend": get_args(Backend),
        "floatx": FLOATX,
        "image_data_format": ("channels_last",),
    }
    for name, values in allowed.items():
        received = getattr(found, name)
        if received not in values:
            raise UserError(
                f"Keras is configured with an unsupported {name}",
                where=where.get(name, str(path)),
                received=str(received),
                expected=" or ".join(values),
                remedies=[f"correct it there, or remove {path}; Keras writes a new one"],
            )
    if not isinstance(found.epsilon, float):
        raise UserError(
            "Keras is configured with an epsilon that is not a number",
            where=str(path),
            received=repr(found.epsilon),
            expected="a number such as 1e-07",
            remedies=[f"correct it there, or remove {path}; Keras writes a new one"],
        )
