"""`regrow.load_champion` and `regrow.predict`: use a registered model in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.api.html import make_paragraph, make_table
from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.quiet import QUIET_ENVIRONMENT, quiet_imports
from regrow.base.settings import read_environment
from regrow.base.spec import load
from regrow.registry.lookup import check_version
from regrow.registry.names import ChampionRef

if TYPE_CHECKING:
    import keras
    import pandas as pd

CARD = "card.md"


@dataclass(frozen=True)
class Champion:
    """A loaded version of a registered model.

    Attributes:
        model: the name of the model.
        registered: its name in the registry.
        version: the version's number.
        keras: the Keras model.
        card: its model card in Markdown; "" if the version has none.
        tags: its tags in the registry: digests, fingerprints, the git commit.
    """

    model: str
    registered: str
    version: int
    keras: keras.Model = field(repr=False)
    card: str = field(repr=False)
    tags: dict[str, str] = field(repr=False)

    def predict(self, inputs: pd.DataFrame | str | Path | Sequence[str | Path]) -> pd.DataFrame:
        """Makes predictions for new inputs.

        Args:
            inputs: a data frame with the same columns as an input file; or one or more files in a
                format that `regrow predict` accepts.

        Returns:
            A data frame with one row for each prediction.

        Raises:
            UserError: a file does not exist, or the model only accepts files.
            DataError: the inputs are not valid.
        """
        spec = get_spec(self.model)
        if hasattr(inputs, "columns"):
            if spec.predict_frame is None:
                raise UserError(
                    f"{self.model} makes predictions for files, not for a data frame",
                    received="a DataFrame",
                    expected="the path of a file, or a list of paths",
                )
            return load(spec.predict_frame)(self.keras, inputs)  # type: ignore[no-any-return]
        paths = [Path(one) for one in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
        check_files(paths)
        if spec.check_file:
            for path in paths:
                load(spec.check_file)(path, training=False)
        return load(spec.predict)(self.keras, paths)  # type: ignore[no-any-return]

    def _repr_html_(self) -> str:
        rows = [
            ["inputs", _describe(self.keras.inputs)],
            ["outputs", _describe(self.keras.outputs)],
        ]
        rows.append(["parameters", f"{self.keras.count_params():,}"])
        rows.append(["trained on", self.tags.get("regrow.data_version", "not known")])
        title = f"{self.registered} version {self.version}"
        return make_table([title, ""], rows) + make_paragraph(get_spec(self.model).title)


def load_champion(
    model: str, *, version: int | None = None, scope: str = "", sample: bool = False
) -> Champion:
    """Loads the champion of a model from the registry.

    The model file is compared with the registered digest and loaded without running any code
    from its configuration.

    Args:
        model: the name of the model.
        version: the version to load; by default the champion.
        scope: the scope of the champion; see `regrow.status`.
        sample: use the champion that was trained on the shipped sample.

    Raises:
        UserError: there is no such model, champion or version.
        DataError: the model file differs from the registered file, or contains refused classes.
    """
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    settings = read_environment()
    ref = ChampionRef(get_spec(model).name, scope, sample, version)
    settings.keras.check_backend()
    check_version(ref, settings.tracking_uri, settings.home)  # before the imports, which take long
    settings.keras.apply()
    with quiet_imports():
        from regrow.registry.champions import open_registry

        registry = open_registry(ref, settings)
        found = registry.find(version)
        model_in_memory = registry.load(int(found.version))
    return Champion(
        model=ref.model,
        registered=ref.registered,
        version=int(found.version),
        keras=model_in_memory,
        card=registry.read_text(found, CARD),
        tags=dict(found.tags),
    )


def predict(
    model: str,
    inputs: pd.DataFrame | str | Path | Sequence[str | Path],
    *,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> pd.DataFrame:
    """Makes predictions with the champion; use `load_champion` to load it once for many calls.

    Args:
        model: the name of the model.
        inputs: see `Champion.predict`.
        version: the version to load; by default the champion.
        scope: the scope of the champion; see `regrow.status`.
        sample: use the champion that was trained on the shipped sample.

    Raises:
        UserError: the model, version or file does not exist, or the model only accepts files.
        DataError: the inputs are not valid.
    """
    champion = load_champion(model, version=version, scope=scope, sample=sample)
    return champion.predict(inputs)


def check_files(paths: Sequence[Path]) -> None:
    """Makes sure that there are files to predict from.

    Raises:
        UserError: there are none, or one is missing.
    """
    if not paths:
        raise UserError("there are no files to predict from", expected="at least one file")
    for path in paths:
        if not path.is_file():
            raise UserError(
                "there is no such file to predict from", where=str(path), expected="a file"
            )


def _describe(tensors: Any) -> str:
    return ", ".join(f"{tensor.name} {tuple(tensor.shape)}" for tensor in tensors)
