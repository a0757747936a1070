"""The format of bundles.

A bundle is an archive with what a machine without a network needs to predict and to train. Nothing
of it is stored before every digest is compared.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from regrow.base.home import Home
from regrow.operations.archive import Archive, Listing
from regrow.registry.names import ChampionRef
from regrow.sources.source import RelativePath, Sha256
from regrow.sources.versions import Version

LOCK, PACKAGES = "requirements.lock", "packages.txt"
# With other versions of these a model may answer differently; import checks that.
COMPARED_LIBRARIES = ("keras", "numpy", "tensorflow")
# An import unpacks into a folder of this prefix in the home.
UNPACKED = ".importing-"
Name = Annotated[str, StringConstraints(pattern=r"^[\w.-]*$", max_length=100)]


class BundledChampion(BaseModel):
    """A registered model's champion, with what the registry of another machine needs.

    Attributes:
        files: paths in the bundle, by paths among the run's artifacts.
        model_file: the path of the .keras file in the bundle.
        example_file: the path of the inputs and outputs of its example.
        metric: the metric that the gate compared; `value` is its value there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name
    scope: Name
    sample: bool
    version: int
    key: Name
    run_name: str
    params: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, list[float]]
    tags: dict[str, str]
    pip_requirements: list[str]
    model_file: RelativePath
    example_file: RelativePath
    files: dict[RelativePath, RelativePath]
    metric: str
    value: float | None

    @property
    def ref(self) -> ChampionRef:
        """What it is the champion of."""
        return ChampionRef(self.model, self.scope, self.sample)

    @property
    def registered(self) -> str:
        """The name in the registry."""
        return self.ref.registered


class Contents(Listing):
    """The content of a bundle.

    Attributes:
        downloads: the source of each file of data, by the file's SHA-256.
        versions: of the sources whose data are newer than declared.
    """

    libraries: dict[str, str]
    downloads: dict[Sha256, str]
    versions: tuple[Version, ...] = ()
    champions: list[BundledChampion]

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        """Every file that is used is listed."""
        needed = {f"downloads/{digest}": digest for digest in self.downloads}
        for one in self.champions:
            needed |= dict.fromkeys((one.model_file, one.example_file, *one.files.values()), "")
        for name, digest in needed.items():
            if name not in self.files:
                raise ValueError(f"{name} is used but not listed")
            if digest and self.files[name].sha256 != digest:
                raise ValueError(f"{name} is listed with another digest")
        return self


BUNDLE = Archive("bundle", Contents, "regrow bundle export")


def import_lock(home: Home) -> Path:
    """The lock file of imports: in the home itself, as a refused import leaves no folder there."""
    return home.path / ".importing.lock"


def remove_killed_imports(home: Home) -> None:
    """Removes unpacked bundles that killed imports left; the caller holds `import_lock`."""
    for path in home.path.glob(f"{UNPACKED}*"):
        shutil.rmtree(path, ignore_errors=True)
