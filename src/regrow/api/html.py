"""Small pieces of HTML for notebooks; every text in them is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def format_value(value: Any) -> str:
    """A value as a person reads it: a number with four significant digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def make_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers are aligned to the right."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def make_paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def make_link(text: str, address: str) -> str:
    """A link to a page."""
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def _cell(value: Any) -> str:
    side = "right" if isinstance(value, (int, float)) and not isinstance(value, bool) else "left"
    return f'<td style="text-align: {side}">{escape(format_value(value))}</td>'
