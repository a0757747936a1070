"""Where a project is, and what it declares in its `regrow.toml`.

models = ["churn"]              # packages with a `model.py`, or with a `spec.py` that holds `SPEC`
packages = ["my_library"]       # further packages whose code counts in fingerprints
home = ".regrow"                # where results are kept, unless REGROW_HOME is set
backend = "jax"                 # what Keras computes with, unless KERAS_BACKEND is set
schedule = "0 4 * * *"          # when `regrow deploy` lets every model run; none without it
sources = "data/sources.toml"   # a file of sources, or tables [sources.NAME] here
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regrow.base.errors import UserError, list_problems

FILE = "regrow.toml"
PACKAGE_DIR = Path(__file__).resolve().parents[1]


class ProjectFile(BaseModel):
    """The contents of a `regrow.toml`; the docstring of this module explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    home: str | None = None
    backend: str | None = None
    schedule: str | None = None
    timezone: str = "Etc/UTC"
    sources: str | dict[str, Any] = Field(default_factory=dict)


def shipped_project() -> Path:
    """The directory with regrow's own regrow.toml and data/: the checkout, or a wheel's copy."""
    checkout = PACKAGE_DIR.parents[1]
    return checkout if (checkout / "data" / "sources.toml").is_file() else PACKAGE_DIR / "_project"


def find_project(environment: Mapping[str, str] | None = None) -> Path:
    """The directory of the project in use.

    It is that of REGROW_PROJECT, else the nearest one with a regrow.toml, from the working
    directory upwards, else that of regrow itself.

    Raises:
        UserError: REGROW_PROJECT names no project.
    """
    named = (os.environ if environment is None else environment).get("REGROW_PROJECT")
    if named:
        root = Path(named).expanduser().resolve()
        if not (root / FILE).is_file():
            raise UserError(
                "no project found",
                where="the environment variable REGROW_PROJECT",
                received=named,
                expected=f"a directory with a {FILE}",
                remedies=["regrow new NAME creates one", "unset REGROW_PROJECT"],
            )
        return root
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working directory was removed
        return shipped_project()
    found = next((each for each in (here, *here.parents) if (each / FILE).is_file()), None)
    return found or shipped_project()


def read_project(root: Path) -> ProjectFile:
    """What the regrow.toml in a directory declares.

    Raises:
        UserError: it cannot be read, is not TOML, or has other fields or values than allowed.
    """
    path = root / FILE
    try:
        status = path.stat()
        return _parse(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        received: object = error.strerror
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        received = f"not valid TOML: {error}"
    except ValidationError as error:
        received = list_problems(error)
    raise UserError(
        "the project file is not valid",
        where=str(path),
        received=str(received),
        expected=f"the fields {', '.join(ProjectFile.model_fields)}",
    )


@lru_cache(maxsize=64)
def _parse(path: Path, _mtime_ns: int, _size: int) -> ProjectFile:
    return ProjectFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
