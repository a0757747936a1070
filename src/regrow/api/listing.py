"""Lists that notebooks display as tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from regrow.api.html import make_table

T = TypeVar("T")


class Listing(list[T]):
    """A list of dataclasses of one type; notebooks display it as a table."""

    def _repr_html_(self) -> str:
        if not self:
            return "<p>none</p>"
        names = [field.name for field in fields(self[0])]  # type: ignore[arg-type]
        rows = [[_shorten(getattr(one, name)) for name in names] for one in self]
        return make_table([name.replace("_", " ") for name in names], rows)


def _shorten(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value
