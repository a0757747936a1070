"""The model card and the run's summary, both Markdown.

The card's headings are those of Mitchell et al., Model Cards for Model Reporting (2019),
https://arxiv.org/abs/1810.03993, with one more on how to load the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regrow.engine import phrases, present
from regrow.engine.pages import open_templates
from regrow.engine.plots import group_curves, median_curve
from regrow.engine.report import DATA_KINDS, ReportData, summarise_validation

BLOCKS = "▁▂▃▄▅▆▇█"
# An underscore inside a word marks up nothing.
_SPECIAL = re.compile(r"([\\`*\[\]<>|#~]|(?<![^\W_])_|_(?![^\W_]))")


class Markdown(str):
    """Text that is Markdown already and is not escaped again."""

    __slots__ = ()


def write_card(data: ReportData, out: Path) -> Path:
    """Writes the model card to `out` and returns `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    name, registered = (
        Markdown(re.sub(r"[^\w.-]", "", text))
        for text in (data.name, data.registered_name or data.name)
    )
    module = Markdown(f"regrow.models.{name.replace('-', '_')}")
    text = _render("card.md.j2", data, name=name, registered=registered, module=module)
    out.write_text(text, encoding="utf-8", newline="\n")
    return out


def summary_markdown(data: ReportData, *, report_link: str | None, mlflow_link: str | None) -> str:
    """A run on half a page, for Prefect's markdown artifact.

    Args:
        data: the run.
        report_link: address of report.html; None leaves it out.
        mlflow_link: address of the MLflow run; None leaves it out.
    """
    links = {"Report": report_link, "MLflow run": mlflow_link}
    # Angle brackets let an address hold blanks and parentheses.
    shown = [f"[{name}](<{_clean_link(link)}>)" for name, link in links.items() if link]
    return _render(
        "summary.md.j2",
        data,
        links=Markdown(" · ".join(shown)),
        losses=[(group, Markdown(line)) for group, line in draw_sparklines(data)],
    )


def draw_sparklines(data: ReportData, *, width: int = 24) -> list[tuple[str, str]]:
    """For each group of runs its median loss, on validation data where there is one, as blocks."""
    quantities = {name for run in data.history for name in run["curves"]}
    if not quantities & {"loss", "val_loss"}:
        return []
    lines = []
    for group, curves in group_curves(data.history, "loss").items():
        values = median_curve(curves.get("val_loss") or curves["loss"])
        values = values[np.isfinite(values)]
        if values.size:
            first, last = (present.format_number(float(v)) for v in (values[0], values[-1]))
            lines.append((group, f"{first} {draw_sparkline(values, width=width)} {last}"))
    return lines


def draw_sparkline(values: Sequence[float] | Any, *, width: int = 24) -> str:
    """Finite values as a line of blocks; on a logarithmic scale where all are positive."""
    array = np.asarray(values, dtype=float)
    if len(array) > width:
        array = array[np.linspace(0, len(array) - 1, width).round().astype(int)]
    if array.min() > 0:
        array = np.log(array)
    span = float(np.ptp(array))
    steps = (array - array.min()) / span * (len(BLOCKS) - 1) if span else np.zeros(len(array))
    return "".join(BLOCKS[int(step)] for step in steps.round())


def format_table(table: present.Table) -> Markdown:
    """A Markdown table; the best row is bold."""
    heads = " | ".join(escape(column.label) for column in table.columns)
    rules = " | ".join("---:" if column.is_numeric else "---" for column in table.columns)
    rows = [
        " | ".join(f"**{escape(cell)}**" if row.is_best else escape(cell) for cell in row.cells)
        for row in table.rows
    ]
    return Markdown("\n".join(f"| {line} |" for line in (heads, rules, *rows)))


def format_facts(pairs: Sequence[tuple[str, str]]) -> Markdown:
    """Pairs as a Markdown table of two columns."""
    columns = (present.Column("fact", False), present.Column("value", True))
    rows = tuple(present.Row(pair) for pair in pairs)
    return format_table(present.Table("", "", columns, rows))


def escape(value: Any) -> str:
    """A value as Markdown text on one line: no markup, no HTML, no table cell of its own."""
    if isinstance(value, Markdown):
        return str(value)
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split())).replace("&", "&amp;")


def _render(template: str, data: ReportData, **more: Any) -> str:
    # Markdown: what is printed passes `escape`, which is HTML's escaping and more.
    environment = open_templates(escape=escape)
    headline = data.evaluation.get("headline")
    tables = [present.build_table(t, headline) for t in data.evaluation.get("tables") or ()]
    text = environment.get_template(template).render(
        data=data,
        kind=DATA_KINDS.get(data.data_kind, data.data_kind),
        date=present.format_date(data.created_at),
        headline=phrases.state_headline(data.evaluation),
        decision=phrases.state_decision(data.decision),
        tables=[(table.title, table.caption, format_table(table)) for table in tables],
        data_facts=format_facts(present.list_facts(data.data_facts)),
        training_facts=format_facts(present.list_facts(data.training_facts)),
        settings=format_facts(present.list_settings(data.config)),
        libraries=", ".join(f"{k} {v}" for k, v in (data.lineage.get("libraries") or {}).items()),
        validation=summarise_validation(data.validation),
        notes=data.evaluation.get("notes") or (),
        **more,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _clean_link(link: str) -> str:
    return re.sub(r"[<>\s]", lambda found: f"%{ord(found[0]):02X}", link)
