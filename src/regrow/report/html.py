"""The report of one run: a single HTML file that opens from disk, on any screen, without a network.

Pictures are data: URIs, styles are inline, there is no script. The same input gives the same
bytes.
"""

from __future__ import annotations

from pathlib import Path

from regrow.report import numbers
from regrow.report.data import Lineage, ReportData
from regrow.report.evaluation import Table
from regrow.report.pictures import draw_curves, load_figure
from regrow.report.sentences import state_decision, state_headline
from regrow.report.templating import open_templates
from regrow.report.validation import state_validation

SHOWN_DIGEST = 16


def write_report(data: ReportData, out: Path) -> Path:
    """Writes the report to `out`, one self-contained HTML file, and returns `out`."""
    evaluation = data.evaluation
    environment = open_templates(
        align=numbers.align_table,
        date=numbers.format_date,
        link=keep_web_address,
        number=numbers.format_number,
    )
    data_facts, data_tables = numbers.split_facts(data.data_facts)
    training_facts, training_tables = numbers.split_facts(data.training_facts)
    page = environment.get_template("report.html.j2").render(
        data=data,
        headline=state_headline(evaluation.headline),
        decision=state_decision(data.decision),
        data_facts=data_facts,
        data_tables=data_tables,
        training_facts=training_facts,
        training_tables=training_tables,
        curves=draw_curves(data.history),
        figures=[load_figure(data.evaluation_dir, figure) for figure in evaluation.figures],
        tables=[numbers.format_table(table) for table in evaluation.tables],
        validation=state_validation(data.validation),
        settings=numbers.list_settings(data.config),
        lineage=_list_lineage(data.lineage),
        stages=numbers.format_table(_tabulate_stages(data.lineage)),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8", newline="\n")
    return out


def keep_web_address(address: str) -> str:
    """The address if a page may link to it, which is http(s) alone; else ""."""
    return address if address.startswith(("https://", "http://")) else ""


def _list_lineage(lineage: Lineage) -> list[tuple[str, str]]:
    dirty = " with uncommitted changes" if lineage.is_dirty else ""
    commit = f"{lineage.git_commit[:12]}{dirty}" if lineage.git_commit else "not known"
    shown = {
        "git commit": commit,
        "backend": lineage.backend,
        "python": lineage.python,
        "platform": lineage.platform,
    }
    return list({**shown, **lineage.libraries}.items())


def _tabulate_stages(lineage: Lineage) -> Table:
    return Table(
        title="",
        columns=("stage", "result", "seconds", "fingerprint", "digest of the result"),
        rows=tuple(
            (
                stage.stage,
                "cached" if stage.is_cached else "made",
                stage.seconds,
                stage.fingerprint[:SHOWN_DIGEST],
                stage.digest[:SHOWN_DIGEST],
            )
            for stage in lineage.stages
        ),
    )
