"""Puts flows/, tasks/ and data/ into the wheel, below regrow/_project.

As top-level names in site-packages, `flows` and `tasks` would clash with other people's. The
command line puts regrow/_project on the path of its own process when it runs a flow. An editable
install needs no copy: there the checkout itself is used.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROJECT = ("flows", "tasks", "data", "prefect.yaml")


class ProjectFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the project's files to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before each build."""
        if version == "standard":
            build_data["force_include"].update(
                {name: f"regrow/_project/{name}" for name in PROJECT}
            )
