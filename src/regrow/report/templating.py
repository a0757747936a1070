"""How templates are read: one environment for HTML pages and for Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def open_templates(
    *, escape: Callable[[Any], Any] | None = None, **filters: Callable[..., Any]
) -> Environment:
    """The templates of this package.

    Args:
        escape: how printed values are made harmless where the page is not HTML.
        filters: further filters, by name.
    """
    environment = Environment(
        loader=PackageLoader("regrow.report"),
        autoescape=escape is None,
        finalize=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=escape is not None,
    )
    environment.filters |= filters
    return environment
