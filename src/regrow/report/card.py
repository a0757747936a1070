"""The model card and the run's summary, both Markdown.

The card begins with the metadata of the Hugging Face hub's model cards, as YAML
(https://huggingface.co/docs/hub/model-cards). Its headings follow Mitchell et al., Model Cards for
Model Reporting (2019), https://arxiv.org/abs/1810.03993.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from regrow.report import numbers
from regrow.report.curves import group_curves, median_curve
from regrow.report.data import ReportData
from regrow.report.sentences import state_decision, state_headline
from regrow.report.templating import open_templates
from regrow.report.validation import state_validation

BLOCKS = "▁▂▃▄▅▆▇█"
# An underscore inside a word marks up nothing.
_SPECIAL = re.compile(r"([\\`*\[\]<>|#~]|(?<![^\W_])_|_(?![^\W_]))")
# The hub's identifiers of the licences that sources.toml names.
HUB_LICENCES = {
    "Apache-2.0": "apache-2.0",
    "CC BY 2.0": "cc-by-2.0",
    "CC BY 3.0": "cc-by-3.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC0": "cc0-1.0",
    "PDDL 1.0": "pddl",
}


class Markdown(str):
    """Text that is Markdown already and is not escaped again."""

    __slots__ = ()


def write_card(data: ReportData, out: Path) -> Path:
    """Writes the model card to `out` and returns `out`."""
    text = _render(
        "card.md.j2",
        data,
        metadata=Markdown(
            yaml.safe_dump(describe_model(data), sort_keys=False, allow_unicode=True)
        ),
        command=Markdown(_state_command(data)),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8", newline="\n")
    return out


def describe_model(data: ReportData) -> dict[str, Any]:
    """The card's metadata in the form of the Hugging Face hub, with the figures as model-index."""
    spec, evaluation, card = data.spec, data.evaluation, data.spec.card
    task = {"pipeline_tag": card.pipeline_tag} if card else {}
    results = {
        "task": {"type": card.pipeline_tag if card else spec.name, "name": spec.title},
        "dataset": {"type": data.sources[0].name, "name": data.sources[0].title},
        "metrics": [
            {
                "type": evaluation.headline.metric,
                "name": evaluation.headline.label,
                "value": evaluation.headline.value,
            },
            *(
                {"type": key, "name": numbers.humanise(key), "value": value}
                for key, value in evaluation.metrics.items()
            ),
        ],
    }
    return {
        **_state_licence([source.licence for source in data.sources]),
        "library_name": "keras",
        **task,
        **({"language": list(card.languages)} if card and card.languages else {}),
        "tags": ["regrow", "keras", *(card.tags if card else ())],
        "datasets": [source.name for source in data.sources],
        "metrics": list(dict.fromkeys([evaluation.headline.metric, *evaluation.metrics])),
        "model-index": [{"name": data.registered_name, "results": [results]}],
    }


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
    if not {"loss", "val_loss"} & set(data.history.names):
        return []
    lines = []
    for group, curves in group_curves(data.history, "loss").items():
        values = median_curve(curves.get("val_loss") or curves["loss"])
        values = values[np.isfinite(values)]
        if values.size:
            first, last = (numbers.format_number(float(v)) for v in (values[0], values[-1]))
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


def write_table(table: numbers.TextTable) -> Markdown:
    """A Markdown table; the best row is bold."""
    heads = " | ".join(escape(column.label) for column in table.columns)
    rules = " | ".join("---:" if column.is_numeric else "---" for column in table.columns)
    rows = [
        " | ".join(f"**{escape(cell)}**" if row.is_best else escape(cell) for cell in row.cells)
        for row in table.rows
    ]
    return Markdown("\n".join(f"| {line} |" for line in (heads, rules, *rows)))


def write_facts(pairs: Sequence[tuple[str, str]]) -> Markdown:
    """Pairs as a Markdown table of two columns."""
    columns = (numbers.Column("fact", False), numbers.Column("value", True))
    rows = tuple(numbers.Row(pair) for pair in pairs)
    return write_table(numbers.TextTable("", "", columns, rows))


def escape(value: Any) -> str:
    """A value as Markdown text on one line: no markup, no HTML, no table cell of its own."""
    if isinstance(value, Markdown):
        return str(value)
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split())).replace("&", "&amp;")


def _render(template: str, data: ReportData, **more: Any) -> str:
    # Markdown: what is printed passes `escape`, which is HTML's escaping and more.
    environment = open_templates(escape=escape, date=numbers.format_date)
    tables = [numbers.format_table(table) for table in data.evaluation.tables]
    text = environment.get_template(template).render(
        data=data,
        headline=state_headline(data.evaluation.headline),
        decision=state_decision(data.decision),
        tables=[(table.title, table.caption, write_table(table)) for table in tables],
        data_facts=write_facts(numbers.list_facts(data.data_facts)),
        training_facts=write_facts(numbers.list_facts(data.training_facts)),
        settings=write_facts(numbers.list_settings(data.config)),
        validation=state_validation(data.validation),
        **more,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _state_command(data: ReportData) -> str:
    """The author's command that uses the model; the champion of the sample has to be named."""
    command = data.spec.card.command if data.spec.card else ""
    of_sample = data.data_kind == "sample" and command.startswith("regrow predict ")
    return f"{command} --sample" if of_sample else command


def _state_licence(licences: Sequence[str]) -> dict[str, str]:
    """The hub's identifier where all sources have one licence that it knows, else all in words."""
    names = list(dict.fromkeys(licences))
    if len(names) == 1 and names[0] in HUB_LICENCES:
        return {"license": HUB_LICENCES[names[0]]}
    return {"license": "other", "license_name": "; ".join(names)}


def _clean_link(link: str) -> str:
    return re.sub(r"[<>\s]", lambda found: f"%{ord(found[0]):02X}", link)
