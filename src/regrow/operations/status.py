"""What `regrow status` says of a model: its last run and its champions, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from regrow.base.project import load_specs
from regrow.base.settings import Settings
from regrow.pipeline.records import last_run
from regrow.pipeline.upkeep import check_champion
from regrow.registry.names import ChampionRef, list_champions
from regrow.registry.state import read_state


def read_status(model: str, settings: Settings) -> dict[str, Any]:
    """The last run of a model, and its champion on the real data, on the sample and of each scope.

    Imports no heavy library.
    """
    record = last_run(settings.home, model)
    specs, _errors = load_specs([model])  # what can no longer be loaded has its runs all the same
    return {
        "model": model,
        "last_run": record.run_id if record else None,
        "last_run_at": record.started_at if record else None,
        "outcome": record.outcome(settings.home) if record else "never run",
        "data": record.request.data if record else None,
        "error": record.error if record else None,
        "unit": specs[0].gate.unit if specs else "",
        "champion": read_champion(ChampionRef(model), settings),
        "champion_on_sample": read_champion(ChampionRef(model, sample=True), settings),
        # The scope of one trained on the sample ends in ".sample".
        "scopes": {
            ref.registered.removeprefix(f"{model}."): read_champion(ref, settings)
            for ref in list_champions(settings, model)
            if ref.scope
        },
        "stages": [ref.model_dump() for ref in record.stages.values()] if record else [],
    }


def read_champion(ref: ChampionRef, settings: Settings) -> dict[str, Any] | None:
    """The last decision on a champion, what the registry says of it now, and what it needs."""
    state = read_state(ref, settings)
    if state is None:
        return None
    upkeep = check_champion(ref, state, settings)
    last = state.decision
    return {
        **asdict(last),
        "alias": state.alias,
        # Both were scored on the same test data.
        "figure": last.challenger if last.version == state.alias else last.champion,
        "frozen": state.frozen,
        "held": [asdict(decision) for decision in state.held],
        "problem": state.problem,
        "age_days": upkeep.age_days,
        "other_libraries": upkeep.other_libraries,
        "remarks": upkeep.remarks,
    }
