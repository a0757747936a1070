"""How a run is named: for lists of runs, and as the command that asks for it."""

from __future__ import annotations

import json
import shlex
from typing import Any

from regrow.base.project import get_spec
from regrow.pipeline.request import RunRequest, effective_preset, flatten

# What a run's name has of the settings that differ from its preset.
MAX_CHANGES, MAX_CHANGE = 3, 40


def list_overrides(request: RunRequest) -> dict[str, Any]:
    """The settings of a request that differ from its preset's, by dotted name."""
    preset = flatten(effective_preset(get_spec(request.model), request.preset))
    settings = flatten(request.config)
    return {name: value for name, value in settings.items() if value != preset.get(name)}


def name_request(request: RunRequest) -> str:
    """A run's name for lists of runs: "air-quality quick seeds=1 epochs=3 +2"."""
    changes = [f"{name}={value}" for name, value in list_overrides(request).items()]
    shown = [change[:MAX_CHANGE] for change in changes[:MAX_CHANGES]]
    more = [f"+{len(changes) - MAX_CHANGES}"] if len(changes) > MAX_CHANGES else []
    return " ".join([request.model, request.preset, *shown, *more])


def describe_command(request: RunRequest) -> str:
    """The command that asks for the same run."""
    words = ["regrow", "run", request.model, "--preset", request.preset]
    words += {"sample": ["--sample"], "real-or-sample": ["--or-sample"]}.get(request.data, [])
    for name, path in request.sources.items():
        words += ["--source", f"{name}={path}"]
    for name, version in request.versions.items():
        words += ["--data-version", f"{name}={version}"]
    for name, value in list_overrides(request).items():
        words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)
