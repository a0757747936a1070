"""Which champion is meant, and its name in the registry."""

from __future__ import annotations

from dataclasses import dataclass

from regrow.base.settings import Settings
from regrow.registry.logs import log_folder

SAMPLE = "sample"
# The alias of the version in use, and the tag of a registered model whose champion is frozen.
CHAMPION, FROZEN = "champion", "regrow.frozen"
# The tag of a version with the libraries that it was trained with, as JSON.
LIBRARIES = "regrow.libraries"


@dataclass(frozen=True)
class ChampionRef:
    """One champion of a model, or another version instead of it.

    Attributes:
        model: the model's name.
        scope: the part of the data that it was trained on, such as "qa02"; "" for all of it.
        sample: whether it was trained on the shipped sample.
        version: a version other than the champion; None for the champion.
    """

    model: str
    scope: str = ""
    sample: bool = False
    version: int | None = None

    @property
    def registered(self) -> str:
        """The name in the registry: each scope has its own, and so has the sample."""
        parts = (self.model, self.scope, SAMPLE if self.sample else "")
        return ".".join(part for part in parts if part)

    @property
    def options(self) -> str:
        """The options by which commands name this champion, each after a blank."""
        return f" --scope {self.scope}" * bool(self.scope) + " --sample" * self.sample

    @property
    def arguments(self) -> str:
        """The model and those options, as commands take them."""
        return f"{self.model}{self.options}"

    @classmethod
    def parse(cls, registered: str, version: int | None = None) -> ChampionRef:
        """The reference behind a name in the registry."""
        model, *parts = registered.split(".")
        sample = parts[-1:] == [SAMPLE]
        return cls(model, ".".join(parts[:-1] if sample else parts), sample, version)


def list_champions(settings: Settings, model: str) -> list[ChampionRef]:
    """The champions of a model that a decision was made on; those of the sample are last."""
    folder = log_folder(settings.home, settings.tracking_uri)
    logs = (ChampionRef.parse(path.stem) for path in folder.glob("[!.]*.jsonl"))
    return sorted(
        (ref for ref in logs if ref.model == model), key=lambda ref: (ref.sample, ref.scope)
    )
