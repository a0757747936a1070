"""Which commands make sense after a run, as one would type them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec
from regrow.registry.names import ChampionRef
from regrow.sources.catalog import declared_sources

# The commands that ask a champion; others, such as dream, need none.
ASKING = ("predict", "ask", "similar", "embed")


def list_next(spec: ModelSpec, summary: Mapping[str, Any], settings: Settings) -> list[str]:
    """The commands that go on from a run: to approve what waits, to use the champion, to look.

    Args:
        summary: of the run; see `regrow.pipeline.runs.summarize_run`.
    """
    decision = summary["decision"]
    ref = ChampionRef.parse(summary["registered_name"])
    commands = []
    if decision["action"] == "held":
        version = f"{ref.model} {decision['version']}{ref.options}"
        commands += [f"regrow {act} {version} --why REASON" for act in ("approve", "reject")]
    elif decision["action"] in ("kept", "refused"):
        commands.append(f"regrow log {ref.model}{ref.options}")
    if decision["champion_after"] is not None:
        commands.append(_use(spec, ref, settings))
    return [*commands, f"regrow status {ref.model}"]


def _use(spec: ModelSpec, ref: ChampionRef, settings: Settings) -> str:
    """The command that uses the champion: the author's, on the sample's file where it was used."""
    command = spec.card.command if spec.card else f"regrow predict {spec.name} FILE"
    if spec.read_inputs and (not spec.card or ref.sample):
        command = f"regrow predict {spec.name} {_find_inputs(spec, ref, settings) or 'FILE'}"
    asks = command.split()[1] in ASKING
    return f"{command}{ref.options}" if asks else command


def _find_inputs(spec: ModelSpec, ref: ChampionRef, settings: Settings) -> str | None:
    """The file of the sample, as it is reached from here."""
    source = declared_sources(settings)[spec.sources[0]] if spec.sources else None
    if source is None or not ref.sample or source.sample is None:
        return None
    path = source.folder / source.sample
    near = os.path.relpath(path, Path.cwd())
    return shlex.quote(near if len(near) < len(str(path)) else str(path))
