"""Downloads a run's sources while something else has to be waited for, such as a server's start."""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import copy_context

from regrow.base.errors import RegrowError
from regrow.base.layout import ensure_layout
from regrow.base.progress import report
from regrow.pipeline.pipeline import Pipeline
from regrow.sources.catalog import declared_sources
from regrow.sources.first_sight import obtain_source
from regrow.sources.locations import is_at_hand
from regrow.sources.retries import make_retries
from regrow.sources.source import Source
from regrow.sources.versions import current_sources


def fetch_ahead(pipeline: Pipeline) -> None:
    """Starts to download what the run will need, in a thread that ends with the process.

    The run finds it in the cache, or waits for it. What goes wrong here goes wrong again there, and
    is said then.
    """
    if missing := _list_missing(pipeline):
        ensure_layout(pipeline.settings.home)
        context = copy_context()  # with the progress bars
        threading.Thread(
            target=context.run, args=(_fetch, pipeline, missing), name="fetch-ahead", daemon=True
        ).start()


def _list_missing(pipeline: Pipeline) -> list[Source]:
    request, settings = pipeline.request, pipeline.settings
    if request.data == "sample":
        return []
    chosen = [name for name in pipeline.sources.names if name not in request.sources]
    catalog = declared_sources(settings)
    declared = {name: catalog[name] for name in chosen}
    current = current_sources(declared, settings.home, request.versions)
    return [
        # One that is not pinned is pinned here: that takes its declaration.
        declared[name] if source.remote.is_checked_first else source
        for name, source in current.items()
        if source.remote.urls
        and not source.left_out
        and not is_at_hand(source, settings.home.downloads, settings.mirror)
        and (source.remote.sha256 or source.remote.is_checked_first)
    ]


def _fetch(pipeline: Pipeline, missing: list[Source]) -> None:
    settings = pipeline.settings
    for source in missing:
        with suppress(RegrowError, OSError):
            obtain_source(source, settings, report, make_retries(settings, attempts=1))
