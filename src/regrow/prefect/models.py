"""The flow of each model of a project, by its name: `regrow.prefect.models.churn`.

Deployments that `regrow deploy` makes for a project name their flows in this way.
"""

from __future__ import annotations

from typing import Any

from regrow.base.errors import UserError


def __getattr__(name: str) -> Any:
    from regrow.base.project import get_spec
    from regrow.prefect.flows import make_flow

    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return make_flow(get_spec(name.replace("_", "-")))
    except UserError as error:
        raise AttributeError(f"{name}: {error}") from error
