"""Checks the inputs of predictions against what the model's training has seen; refuses nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regrow.base.errors import Unreachable
from regrow.base.spec import ModelSpec, load
from regrow.checks.ranges import find_outside
from regrow.registry.versions import Registry

PROFILE = "profile.json"


def read_profile(spec: ModelSpec, registry: Registry, version: int) -> Mapping[str, Any] | None:
    """What the training of a version has seen; None if that is not known or no table was read.

    Raises:
        UserError: there is no such version.
    """
    if spec.read_inputs is None:
        return None
    try:
        path = registry.artifact(registry.find(version), PROFILE)
    except Unreachable:  # the model itself may be there, and answers
        return None
    profile: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return profile


def check_ranges(
    spec: ModelSpec, profile: Mapping[str, Any] | None, paths: Sequence[Path]
) -> dict[str, Any] | None:
    """How many rows of the files lie outside of a profile: see `find_outside`; None without one.

    Raises:
        DataError: a file cannot be read.
    """
    if profile is None or spec.read_inputs is None:
        return None
    import pandas as pd

    frames = [load(spec.read_inputs)(path) for path in paths]
    return find_outside(profile, pd.concat(frames, ignore_index=True))


def describe_ranges(found: Mapping[str, Any] | None, used: str) -> str | None:
    """The result of `check_ranges` in a sentence; None if nothing lies outside."""
    if not found or not found["outside"]:
        return None
    columns = ", ".join(
        f"{name} ({one['rows']:,}; seen: {one['seen']})" for name, one in found["columns"].items()
    )
    return (
        f"{found['outside']:,} of {found['rows']:,} rows are outside the training range of {used} "
        f"has seen: {columns}"
    )
