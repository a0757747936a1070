"""What a champion in use needs from a person: it is old, or other libraries are installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.registry.names import ChampionRef
from regrow.registry.state import ChampionState
from regrow.sources.catalog import declared_sources
from regrow.store.fingerprint import library_version


@dataclass(frozen=True)
class Upkeep:
    """The state of a champion beside its surroundings.

    Attributes:
        name: of the champion, for people.
        age_days: how long ago it was trained.
        max_age_days: from which age on it is old; None where its data never change.
        other_libraries: the versions then and now of libraries that have changed since.
    """

    name: str
    age_days: float | None = None
    max_age_days: float | None = None
    other_libraries: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def is_old(self) -> bool:
        """Whether it should have been trained again by now."""
        return (
            self.age_days is not None
            and self.max_age_days is not None
            and self.age_days > self.max_age_days
        )

    @property
    def age_remark(self) -> str | None:
        """That it is old, in words."""
        if not self.is_old:
            return None
        return (
            f"{self.name} was trained {self.age_days:.0f} days ago, more than "
            f"{self.max_age_days:g} (REGROW_MAX_MODEL_AGE_DAYS); check that its data is still "
            "refreshed"
        )

    @property
    def library_remark(self) -> str | None:
        """That other libraries are installed, in words."""
        if not self.other_libraries:
            return None
        changes = ", ".join(
            f"{name} {now} (then {then})" for name, (then, now) in self.other_libraries.items()
        )
        return f"{self.name} was trained with other library versions: {changes}"

    @property
    def remarks(self) -> list[str]:
        """All of it in words."""
        return [text for text in (self.age_remark, self.library_remark) if text]


def check_champion(
    ref: ChampionRef, state: ChampionState, settings: Settings, *, at: datetime | None = None
) -> Upkeep:
    """Compares a champion with the present time and the installed libraries.

    Args:
        at: the present time, by default that of the machine.
    """
    if state.alias is None:
        return Upkeep(ref.registered)
    age = None
    if state.trained_at is not None:
        age = (at or datetime.now(UTC)) - datetime.fromisoformat(state.trained_at)
    return Upkeep(
        name=f"champion {state.alias} of {ref.registered}",
        age_days=None if age is None else age.total_seconds() / 86_400,
        max_age_days=settings.max_model_age_days if _may_change(ref, settings) else None,
        other_libraries={
            name: (then, now)
            for name, then in state.libraries.items()
            if (now := library_version(name)) != then
        },
    )


def _may_change(ref: ChampionRef, settings: Settings) -> bool:
    """Whether the champion's data is looked at for new versions."""
    refreshed = declared_sources(settings).refreshed
    return not ref.sample and any(name in refreshed for name in get_spec(ref.model).sources)
