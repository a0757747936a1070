"""The registry of one champion, and the data that it was trained on."""

from __future__ import annotations

import json

from regrow.base.settings import Settings
from regrow.checks.validation import ReferenceProfile
from regrow.registry.mlflow import is_absent
from regrow.registry.names import ChampionRef
from regrow.registry.versions import Registry


def open_registry(ref: ChampionRef, settings: Settings) -> Registry:
    """The versions of the registered model behind a reference; imports MLflow.

    Raises:
        Unreachable: no MLflow server answers.
        UserError: the database cannot be opened.
    """
    return Registry(settings.tracking_uri, ref.registered, settings.home)


def find_reference(
    ref: ChampionRef, settings: Settings, *, data_digest: str
) -> ReferenceProfile | None:
    """The profile of the champion's training data, unless it was trained on this very data."""
    if is_absent(settings.tracking_uri):
        return None
    registry = open_registry(ref, settings)
    champion = registry.champion()
    if champion is None or champion.tags.get("regrow.data_digest") == data_digest:
        return None
    profile = json.loads(registry.artifact(champion, "profile.json").read_text())
    return ReferenceProfile(f"{registry.name} version {champion.version}", profile)
