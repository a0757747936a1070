"""Where state, data and servers are on this machine, as the environment says."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ByteSize, TypeAdapter, ValidationError

from regrow.base.addresses import (
    check_tracking_address,
    database_address,
    is_own_database,
    read_path,
)
from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.keras_settings import KerasSettings, read_keras_settings
from regrow.base.layout import check_layout
from regrow.base.project_file import find_project, read_project, shipped_project

# SQLite opens no path of more than 512 bytes; the longest is that of the registry while it is made.
MAX_HOME_BYTES = 470
HOME = "the environment variable REGROW_HOME"


@dataclass(frozen=True)
class Settings:
    """Where things are on this machine.

    Attributes:
        home: the directory of all state.
        mirror: a folder or http(s) URL asked for sources before their own URLs.
        tracking_uri: MLflow's tracking server or database.
        keras: what Keras computes with.
        project: the directory that holds regrow.toml and data/.
        shared_store: where results are that other machines can fetch; None for nowhere.
        store_key: signs what is in the shared store; None signs nothing.
        download_min_bytes_per_s: the least rate of a download.
        download_deadline_s: how long the download from one address may take.
        max_model_age_days: from which age on a champion is old, if its data may change.
        max_bytes: how large the home may become; None for no limit.
        require_approval: whether every version waits for a person before it becomes champion.
    """

    home: Home
    mirror: str | None
    tracking_uri: str
    keras: KerasSettings
    project: Path
    shared_store: str | None = None
    store_key: str | None = field(default=None, repr=False)
    download_min_bytes_per_s: float = 1000.0
    download_deadline_s: float = 3600.0
    max_model_age_days: float = 90.0
    max_bytes: int | None = None
    require_approval: bool = False

    @property
    def backend(self) -> str:
        """The library that does Keras's work."""
        return self.keras.backend

    @property
    def registry_identity(self) -> str:
        """What tells this registry from others; the home's own one moves with it."""
        return "home" if is_own_database(self.tracking_uri, self.home) else self.tracking_uri

    @property
    def data_dir(self) -> Path:
        """The directory with sources.toml and the samples."""
        return self.project / "data"


def read_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads REGROW_HOME, MLFLOW_TRACKING_URI and the other variables in the README's list.

    Raises:
        UserError: a variable has a value that cannot be used, or a newer version of regrow has
            written the home.
    """
    values = os.environ if environment is None else environment
    project = find_project(values)
    declared = read_project(project)
    home = open_home(values.get("REGROW_HOME") or _default_home(project, declared.home))
    mirror = _read_mirror(values.get("REGROW_MIRROR") or "")
    if tracking := values.get("MLFLOW_TRACKING_URI"):
        check_tracking_address(tracking)
    return Settings(
        home=home,
        mirror=mirror,
        tracking_uri=tracking or database_address(home.database),
        keras=read_keras_settings(_with_backend(values, declared.backend)),
        project=project,
        shared_store=values.get("REGROW_SHARED_STORE") or None,
        store_key=values.get("REGROW_STORE_KEY") or None,
        download_min_bytes_per_s=_read_number(values, "REGROW_DOWNLOAD_MIN_BYTES_PER_S", 1000.0),
        download_deadline_s=_read_number(values, "REGROW_DOWNLOAD_DEADLINE_S", 3600.0),
        max_model_age_days=_read_number(values, "REGROW_MAX_MODEL_AGE_DAYS", 90.0),
        max_bytes=_read_bytes(values, "REGROW_MAX_BYTES"),
        require_approval=_read_switch(values, "REGROW_REQUIRE_APPROVAL"),
    )


def _default_home(project: Path, declared: str | None) -> str:
    """A project's own home; regrow's shipped models have theirs in the working directory."""
    if declared is None and project == shipped_project():
        return ".regrow"
    return str(project / (declared or ".regrow"))


def _with_backend(values: Mapping[str, str], declared: str | None) -> Mapping[str, str]:
    return {"KERAS_BACKEND": declared, **values} if declared else values


def _read_mirror(text: str) -> str | None:
    """The mirror: an http(s) URL as it is, or a folder's absolute path."""
    if text.lower().startswith(("http://", "https://")):
        return text
    return str(read_path(text, "the environment variable REGROW_MIRROR")) if text else None


def open_home(text: str) -> Home:
    """The home at a path, which need not exist yet.

    Raises:
        UserError: nothing can be kept there, or a newer version of regrow has written the home.
    """
    received = text if len(text) < 200 else f"{len(os.fsencode(text))} bytes: {text[:60]}..."
    problem = expected = None
    try:
        given = read_path(text, HOME) if "://" in text else Path(text).expanduser()
        path = given.resolve()
        str(path).encode()
        size = len(os.fsencode(path))
        place = next(each for each in (path, *path.parents) if each.exists())
        if size > MAX_HOME_BYTES:
            expected = f"a path of at most {MAX_HOME_BYTES} bytes, the limit of SQLite"
        elif not place.is_dir():
            problem = f"{place} is not a directory"
    except (OSError, RuntimeError, ValueError) as error:
        problem = str(error)
    if problem or expected:
        raise UserError(
            "this path cannot be used for the home",
            where=HOME,
            received=f"{received}: {problem}" if problem else received,
            expected=expected or "a directory, or a path where one can be created",
            remedies=["set REGROW_HOME to another directory"],
        )
    home = Home(path)
    check_layout(home)
    return home


def _read_number(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(
            "the limit must be a number greater than 0",
            where=f"the environment variable {name}",
            received=text,
            expected=f"a number such as {default:g}, which is the default",
        )
    return number


def _read_switch(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name) or "0"
    if text not in ("0", "1"):
        raise UserError(
            "a switch is neither on nor off",
            where=f"the environment variable {name}",
            received=text,
            expected="1 for on, 0 for off",
        )
    return text == "1"


def _read_bytes(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name)
    if not text:
        return None
    try:
        size = TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        size = ByteSize(0)
    if size <= 0:
        raise UserError(
            "the size must be a number of bytes greater than 0",
            where=f"the environment variable {name}",
            received=text,
            expected="for example 20GB, 500MiB or 1000000",
        )
    return int(size)
