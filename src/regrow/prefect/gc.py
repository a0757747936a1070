"""The flow `gc`: removes what nothing in use needs."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from regrow.base.settings import read_environment
from regrow.operations.gc import DEFAULT_KEEP, collect_garbage
from regrow.pipeline.disk import check_limit
from regrow.prefect.notifications import notify_failure

MIB = 2**20


@flow(
    name="gc",
    description="Removes unused files.",
    on_failure=[notify_failure],
)
def gc(keep: Annotated[int, Field(ge=0)] = DEFAULT_KEEP) -> dict[str, Any]:
    """Removes unused results, downloads, reports and pages of failed runs.

    The run fails if the home still exceeds REGROW_MAX_BYTES afterwards.

    Args:
        keep: the number of newest versions of each model and source to keep.
    """
    settings = read_environment()
    found = collect_garbage(settings, keep=keep, dry_run=False)
    rows = [
        {
            "what": item["kind"],
            "where": item["path"],
            "MiB": round(item["bytes"] / MIB, 1),
            "why": item["why"],
        }
        for item in found["removed"]
    ]
    freed, kept = found["removed_bytes"] / MIB, found["kept_bytes"] / MIB
    create_table_artifact(
        table=rows or [{"what": "nothing", "where": "", "MiB": 0, "why": "nothing to remove"}],
        key="gc",
        description=f"{freed:,.1f} MiB freed; {found['kept']} results of {kept:,.1f} MiB kept",
    )
    check_limit(settings)
    return found
