"""Puts data/, prefect.yaml and regrow.toml into the wheel, below regrow/_project.

An editable install needs no copy: it uses the checkout itself. The deployments of regrow's own
models are made from a checkout only, so flows/ and tasks/ are not part of the wheel; other projects
take pools and automations from prefect.yaml.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROJECT = ("data", "prefect.yaml", "regrow.toml")


class ProjectFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the project's files to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before each build."""
        if version == "standard":
            build_data["force_include"].update(
                {name: f"regrow/_project/{name}" for name in PROJECT}
            )
