"""The report of one run: a single HTML file that opens from disk, on any screen, without a network.

Pictures are data: URIs, styles are inline, there is no script. The same input gives the same
bytes. The page knows only the contract files (evaluation.json, history.json, validation.json,
facts), so it serves every model.
"""

from __future__ import annotations

import base64
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regrow.engine import phrases, plots, present
from regrow.engine.chart_style import dark_variant
from regrow.engine.pages import open_templates
from regrow.engine.present import Table

PICTURE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
DATA_KINDS = {"real": "real data", "sample": "sample data", "local": "a local file"}
CURVE_LIMIT = 4
"""More quantities than these in history.json are not drawn: the losses come first there."""


@dataclass(frozen=True)
class ReportData:
    """All that a report, a card or a summary is made from.

    Attributes:
        name: the model's name, e.g. "air-quality".
        title: one line for people.
        description: what the model does, in a few sentences.
        run: the run's name.
        created_at: when the run was made, ISO 8601; never read from the clock here.
        preset: the name of the settings' preset.
        config: the settings.
        data_kind: "real", "sample" or "local".
        sources: what `download` left: title, name, file, sha256, bytes, origin, licence, citation.
        data_facts: the facts of `clean`.
        validation: validation.json.
        history: history.json.
        evaluation: evaluation.json.
        evaluation_dir: the directory that the figures' paths in evaluation.json start from.
        lineage: "git_commit", "git_dirty", "stages" (a list of stage, fingerprint, digest, cached,
            seconds), "libraries" (name: version), "backend", "python", "platform".
        decision: decision.json: action, reason, version, challenger and champion figures; or None.
        training_facts: the facts of `train`.
        registered_name: the model's name in the registry; `name` where empty.
        card: the model's own words for the model card, by heading: "intended_use", "out_of_scope",
            "factors", "evaluation_data", "ethics", "caveats".
    """

    name: str
    title: str
    description: str
    run: str
    created_at: str
    preset: str
    config: Mapping[str, Any]
    data_kind: str
    sources: Sequence[Mapping[str, Any]]
    data_facts: Mapping[str, Any]
    validation: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    evaluation: Mapping[str, Any]
    evaluation_dir: Path
    lineage: Mapping[str, Any]
    decision: Mapping[str, Any] | None = None
    training_facts: Mapping[str, Any] = field(default_factory=dict)
    registered_name: str = ""
    card: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A picture with its bytes as a data: URI.

    Attributes:
        light: the picture; None where its file is missing.
        dark: the same for dark pages, where there is one.
        width_px: width and
        height_px: height on the page, in CSS pixels; 0 where unknown.
        scrolls: whether it is a chart that must not shrink below legibility.
    """

    title: str
    caption: str
    light: str | None
    dark: str | None = None
    width_px: int = 0
    height_px: int = 0

    @property
    def scrolls(self) -> bool:
        """Whether it is a chart, whose letters must stay legible on a narrow screen."""
        return self.dark is not None


@dataclass(frozen=True)
class Validation:
    """The verdict on the data, a sentence, remarks and tables."""

    tone: str
    sentence: str
    remarks: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def write_report(data: ReportData, out: Path) -> Path:
    """Writes the report to `out`, one self-contained HTML file, and returns `out`."""
    environment = open_templates(align=present.align_table)
    headline = data.evaluation.get("headline")
    page = environment.get_template("report.html.j2").render(
        data=data,
        kind=DATA_KINDS.get(data.data_kind, data.data_kind),
        date=present.format_date(data.created_at),
        headline=phrases.state_headline(data.evaluation),
        decision=phrases.state_decision(data.decision),
        data_facts=present.list_facts(data.data_facts),
        training_facts=present.list_facts(data.training_facts),
        sources=[_show_source(source) for source in data.sources],
        curves=draw_curves(data.history),
        figures=[
            _load_figure(data.evaluation_dir, figure)
            for figure in data.evaluation.get("figures") or ()
        ],
        tables=[
            present.build_table(table, headline) for table in data.evaluation.get("tables") or ()
        ],
        notes=data.evaluation.get("notes") or (),
        validation=summarise_validation(data.validation),
        settings=present.list_settings(data.config),
        lineage=_show_lineage(data.lineage),
        stages=_tabulate_stages(data.lineage.get("stages") or ()),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8", newline="\n")
    return out


def draw_curves(history: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """One chart per quantity in history.json, in the order met."""
    names = [name for run in history for name, values in run["curves"].items() if len(values)]
    quantities = list(dict.fromkeys(name.removeprefix("val_") for name in names))[:CURVE_LIMIT]
    pictures = []
    with tempfile.TemporaryDirectory(prefix="regrow-report-") as folder:
        for n, quantity in enumerate(quantities):
            path = plots.plot_curves(history, Path(folder) / f"{n}.png", quantity=quantity)
            title = f"{present.humanise(quantity).capitalize()} per {plots.find_unit(history)}"
            pictures.append(_load_picture(path, title, describe_curves(history, quantity)))
    return pictures


def describe_curves(history: Sequence[Mapping[str, Any]], quantity: str) -> str:
    """The caption of a curve's chart: how many runs there are, and how to read them."""
    groups = plots.group_curves(history, quantity)
    lengths = [len(run) for curves in groups.values() for runs in curves.values() for run in runs]
    counts = {len(runs) for curves in groups.values() for runs in curves.values()}
    unit = f"{plots.find_unit(history)}s"
    epochs = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(lengths[0])
    if max(counts) == 1:
        return f"One run of {epochs} {unit}." if len(groups) == 1 else f"Runs of {epochs} {unit}."
    per_group = str(counts.pop()) if len(counts) == 1 else f"Up to {max(counts)}"
    each = " in each panel" if len(groups) > 1 else ""
    stopped = " A run that stopped early keeps its last value." if "to" in epochs else ""
    return (
        f"{per_group} runs{each}, of {epochs} {unit}: the line is their median, "
        f"the band goes from the smallest to the largest.{stopped}"
    )


def summarise_validation(validation: Mapping[str, Any]) -> Validation:
    """The verdict of validation.json in a sentence, and every list of records in it as a table."""
    if not validation:
        return Validation("neutral", "The data was not validated.")
    records = dict(_find_records(validation))
    remarks = [str(text) for text in validation.get("warnings") or () if isinstance(text, str)]
    checks = [r for key in records for r in records[key] if isinstance(_verdict(r), bool)]
    failed = sum(not _verdict(check) for check in checks)
    passed = validation.get("success", validation.get("passed", not failed))
    if passed is True or (not isinstance(passed, bool) and not failed):
        tone, sentence = "good", f"The data passed validation{_count(len(checks), failed)}."
    else:
        of = f": {failed} of {len(checks)} checks failed" if failed else ""
        tone, sentence = "bad", f"The data did not pass validation{of}."
    if remarks:
        sentence += f" {len(remarks)} warning{'s' if len(remarks) > 1 else ''}, below."
    tables = [present.tabulate_records(present.humanise(k), v) for k, v in records.items()]
    return Validation(tone, sentence, tuple(remarks), tuple(tables))


def _verdict(record: Mapping[str, Any]) -> Any:
    return record.get("success", record.get("passed"))


def _count(checks: int, failed: int) -> str:
    if failed:
        return f": {checks - failed} of {checks} checks held, the others are warnings"
    return f": all {checks} checks held" if checks else ""


def _find_records(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every list of JSON objects, and every mapping from names to objects, under its path."""
    for key, item in value.items():
        path = f"{above} {key}".strip()
        if isinstance(item, list) and item and all(isinstance(r, Mapping) for r in item):
            yield path, item
        elif isinstance(item, Mapping) and item:
            if all(isinstance(r, Mapping) for r in item.values()):
                yield path, [{"name": name, **r} for name, r in item.items()]
            else:
                yield from _find_records(item, path)


def _load_figure(folder: Path, figure: Mapping[str, Any]) -> Picture:
    title, caption = str(figure.get("title") or ""), str(figure.get("caption") or "")
    path = (folder / str(figure["file"])).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return Picture(title or str(figure["file"]), caption, None)
    return _load_picture(path, title or path.stem.replace("_", " "), caption)


def _load_picture(path: Path, title: str, caption: str) -> Picture:
    dark = dark_variant(path)
    # Our own charts are drawn with two pixels for each of the page's.
    scale = 2 if dark.is_file() else 1
    width, height = _read_png_size(path)
    return Picture(
        title=title,
        caption=caption,
        light=_encode(path),
        dark=_encode(dark) if dark.is_file() else None,
        width_px=width // scale,
        height_px=height // scale,
    )


def _encode(path: Path) -> str:
    kind = PICTURE_TYPES.get(path.suffix.lower(), "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _read_png_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels; (0, 0) where the file is no PNG."""
    with path.open("rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return 0, 0
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _show_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source for the page; only http(s) addresses become links."""
    origin = str(source.get("origin") or "")
    size = source.get("bytes")
    return {
        "title": str(source.get("title") or source.get("name") or source.get("file") or "source"),
        "file": str(source.get("file") or ""),
        "size": f"{present.format_number(size)} bytes" if present.is_number(size) else "",
        "licence": str(source.get("licence") or "not stated"),
        "licence_url": _link(source.get("licence_url")),
        "homepage": _link(source.get("homepage")),
        "citation": str(source.get("citation") or ""),
        "origin": origin,
        "origin_url": _link(origin),
        "sha256": str(source.get("sha256") or ""),
    }


def _link(address: Any) -> str:
    text = str(address or "")
    return text if text.startswith(("https://", "http://")) else ""


def _show_lineage(lineage: Mapping[str, Any]) -> list[tuple[str, str]]:
    commit = str(lineage.get("git_commit") or "")[:12]
    dirty = " with uncommitted changes" if lineage.get("git_dirty") else ""
    shown = {"git commit": f"{commit}{dirty}" if commit else "not known"}
    shown |= {key: str(lineage[key]) for key in ("backend", "python", "platform") if key in lineage}
    shown |= {str(name): str(version) for name, version in (lineage.get("libraries") or {}).items()}
    return list(shown.items())


def _tabulate_stages(stages: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            stage.get("stage"),
            "cached" if stage.get("cached") else "made",
            stage.get("seconds"),
            str(stage.get("fingerprint") or present.NONE)[:16],
            str(stage.get("digest") or present.NONE)[:16],
        ]
        for stage in stages
    ]
    columns = ["stage", "result", "seconds", "fingerprint", "digest of the result"]
    return present.build_table({"columns": columns, "rows": rows, "best_by": None})
