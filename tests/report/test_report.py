"""The report of a realistic, synthetic run: one HTML page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from regrow.report import charts
from regrow.report.card import summary_markdown, write_card
from regrow.report.data import ReportData
from regrow.report.distributions import HEIGHT, WIDTH, draw_distribution
from regrow.report.evaluation import Figure, Headline, Table
from regrow.report.history import History, TrainingRecord
from regrow.report.html import write_report
from regrow.report.validation import state_validation
from tests.support.report_run import make_data, make_validation

VOID = {"meta", "img", "source", "br", "link", "hr", "input"}
HOSTILE = '<script>alert("x")</script> | `a` "quoted" [link](javascript:alert(1)) &amp; $\\frac$'


class Page(HTMLParser):
    """Collects what a page loads and checks that its tags are balanced."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def parse(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def words(page: Page) -> str:
    return " ".join(" ".join(page.text).split())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return make_data(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def report(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(data, tmp_path_factory.mktemp("publish") / "report.html")


def hostile(value: Any) -> Any:
    """The same JSON value with every text replaced by a hostile one; keys too."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {f"{HOSTILE}{n}": hostile(item) for n, item in enumerate(value.values())}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return value


def make_hostile(data: ReportData) -> ReportData:
    evaluation = data.evaluation.model_copy(
        update={
            "headline": Headline(
                metric=HOSTILE,
                label=HOSTILE,
                unit=HOSTILE,
                value=0.5,
                baseline={"name": HOSTILE, "value": 1.0},
            ),
            "tables": (
                Table(title=HOSTILE, caption=HOSTILE, columns=(HOSTILE, "b"), rows=[(HOSTILE, 1)]),
            ),
            "figures": (
                Figure(file="figures/scatter.png", title=HOSTILE, caption=HOSTILE),
                Figure(file=HOSTILE, title=HOSTILE, caption=HOSTILE),
            ),
            "notes": (HOSTILE,),
        }
    )
    check = data.validation.expectations[0].model_copy(
        update={"expectation": HOSTILE, "why": HOSTILE}
    )
    words: Any = dict.fromkeys(("intended_use", "data", "evaluation", "limits", "ethics"), HOSTILE)
    assert data.spec.card
    card = replace(data.spec.card, out_of_scope=HOSTILE, **words)
    names = ("title", "homepage", "licence", "citation", "file", "sha256", "origin")
    texts: Any = dict.fromkeys(names, HOSTILE)
    return replace(
        data,
        spec=replace(data.spec, title=HOSTILE, description=HOSTILE, card=card),
        preset=HOSTILE,
        config=hostile(dict(data.config)),
        sources=[replace(data.sources[0], **texts)],
        data_facts=hostile(dict(data.data_facts)),
        validation=data.validation.model_copy(
            update={"warnings": (HOSTILE,), "expectations": (check,)}
        ),
        history=History([TrainingRecord({"loss": [1.0, 0.5]}, f"{HOSTILE}/seed-0")]),
        evaluation=evaluation,
        lineage=replace(data.lineage, git_commit=HOSTILE, libraries={HOSTILE: HOSTILE}),
        decision=replace(data.decision, reason=HOSTILE, data_version=HOSTILE, metric=HOSTILE),
    )


def test_report_is_one_self_contained_file_with_every_figure(
    data: ReportData, report: Path
) -> None:
    page = parse(report)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attrs in page.tags:
        for name in ("src", "srcset", "poster", "background"):
            assert (attrs.get(name) or "data:").startswith("data:")
    style = re.search(r"<style>(.*?)</style>", report.read_text("utf-8"), re.DOTALL)
    assert style
    assert not re.search(r"url\(|@import", style[1])
    images = page.attributes("img")
    assert len(images) == len(data.evaluation.figures) + 1  # and the curves
    assert len(page.attributes("source")) == len(images)  # each has a dark variant
    assert all(image["alt"] and image["width"] for image in images)
    assert report.stat().st_size < 3_000_000


def test_report_states_the_result_beside_baseline_and_spread(report: Path) -> None:
    text = words(parse(report))
    assert "0.0304 µg/m³" in text
    assert "± 0.0012 over 5 seeds" in text
    assert "43 % above the best baseline, isotonic on PT08.S2 (0.0212 µg/m³)" in text
    assert "The baseline is better." in text
    assert "Champion The challenger's RMSE on the current test data is 23.2 % below" in text
    for fact in ("CC BY 4.0", "Vito, S. (2008)", "13277ae5d8581e80b7be09d47c7d3d06", "8,991"):
        assert fact in text
    for fact in ("9f2c1e07a4d1", "keras 3.15.1", "early_stopping.patience 20", "tensorflow"):
        assert fact in text


def test_contents_lead_to_every_section(report: Path) -> None:
    page = parse(report)
    targets = [str(a["href"])[1:] for a in page.attributes("a") if str(a["href"]).startswith("#")]
    sections = [attrs["id"] for attrs in page.attributes("section")]
    assert targets[1:] == sections  # the first one skips to the result
    assert len(sections) == 9


def test_tables_have_headers_and_mark_the_best_row(report: Path) -> None:
    html = report.read_text("utf-8")
    tables = re.findall(r"<table[^>]*>.*?</table>", html, re.DOTALL)
    best = [re.findall(r'<tr class="best"><th scope="row">([^<]*)', table) for table in tables]
    assert [[name.strip() for name in names] for names in best[:2]] == [
        ["isotonic on PT08.S2"],
        ["network"],
    ]
    for table in tables:
        heads = len(re.findall(r'<th scope="col"', table))
        rows = re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], re.DOTALL)
        assert heads > 1
        assert [len(re.findall(r"<t[hd]\b", row)) for row in rows] == [heads] * len(rows)


@pytest.mark.parametrize(
    ("kind", "is_sample"), [("real", False), ("sample", True), ("local", False)]
)
def test_only_sample_data_gets_the_banner(
    data: ReportData, tmp_path: Path, kind: str, is_sample: bool
) -> None:
    run = replace(data, data_kind=kind)
    words_of_warning = "these metrics say nothing about the real data"
    assert (words_of_warning in words(parse(write_report(run, tmp_path / "r.html")))) is is_sample
    summary = summary_markdown(run, report_link=None, mlflow_link=None)
    assert (words_of_warning in summary) is is_sample
    card = write_card(run, tmp_path / "card.md").read_text("utf-8")
    assert ("Trained on the shipped sample" in card) is is_sample


def test_hostile_texts_are_escaped(data: ReportData, tmp_path: Path) -> None:
    run = make_hostile(data)
    page = parse(write_report(run, tmp_path / "report.html"))
    assert not page.attributes("script")
    assert all(not str(a["href"]).startswith("javascript:") for a in page.attributes("a"))
    assert words(page).count('<script>alert("x")</script>') > 20  # as text
    assert "The picture’s file is missing." in words(page)
    # The card begins with YAML, which is no Markdown.
    card = write_card(run, tmp_path / "card.md").read_text("utf-8").split("\n---\n", 1)[1]
    summary = summary_markdown(run, report_link="file:///a b)(c.html", mlflow_link=None)
    for text in (card, summary):
        assert not re.search(r"(?<!\\)<script", text)
        assert not re.search(r"(?<!\\)\]\(javascript", text)


def test_a_source_links_only_to_web_addresses(data: ReportData, tmp_path: Path) -> None:
    source = replace(data.sources[0], homepage="javascript:alert(1)", origin="/home/me/file.csv")
    page = parse(write_report(replace(data, sources=[source]), tmp_path / "report.html"))
    links = [str(a["href"]) for a in page.attributes("a") if not str(a["href"]).startswith("#")]
    assert links == []
    assert "/home/me/file.csv" in words(page)


def test_a_run_with_little_to_show_has_its_report(data: ReportData, tmp_path: Path) -> None:
    plain = data.evaluation.model_copy(
        update={
            "headline": Headline(metric="rmse", label="RMSE", value=2.0),
            "tables": (),
            "figures": (),
            "notes": (),
        }
    )
    lost = data.evaluation.model_copy(update={"figures": (Figure(file="gone.png", title="Lost"),)})
    undefined = plain.model_copy(
        update={"headline": Headline(metric="rmse", label="RMSE", value=float("nan"))}
    )
    cases: list[dict[str, Any]] = [
        {
            "evaluation": plain,
            "history": History([TrainingRecord({"loss": [1.0, 0.5, 0.4]}, "seed-0")]),
        },
        {"history": History([TrainingRecord({"loss": [float("nan")]}, "a/seed-0")])},
        {"history": History([TrainingRecord({}, "a")])},
        {"evaluation": lost, "data_facts": {}, "training_facts": {}, "config": {}},
        {"spec": replace(data.spec, card=None), "lineage": replace(data.lineage, git_commit=None)},
    ]
    for changes in cases:
        run = replace(data, **changes)
        assert "Champion The challenger's" in words(
            parse(write_report(run, tmp_path / "report.html"))
        )
        assert "# Model card: Benzene" in write_card(run, tmp_path / "card.md").read_text("utf-8")
    run = replace(data, evaluation=undefined)
    said = "The main metric of this run, RMSE, is not finite."
    assert said in words(parse(write_report(run, tmp_path / "report.html")))
    assert said in write_card(run, tmp_path / "card.md").read_text("utf-8")
    assert said in summary_markdown(run, report_link=None, mlflow_link=None)


def test_a_figure_outside_the_stage_is_not_read(data: ReportData, tmp_path: Path) -> None:
    (tmp_path / "evaluate").mkdir()
    charts.plot_bars({"a": 1.0, "b": 2.0}, tmp_path / "secret.png", label="x")
    run = replace(
        data,
        evaluation=data.evaluation.model_copy(
            update={"figures": (Figure(file="../secret.png", title="x"),)}
        ),
        evaluation_dir=tmp_path / "evaluate",
        history=History(()),
    )
    page = parse(write_report(run, tmp_path / "report.html"))
    assert page.attributes("img") == []


def test_pictures_that_are_no_charts_are_shown_as_they_are(
    data: ReportData, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30), "red").save(tmp_path / "dream.jpg")
    Image.new("RGB", (40, 30), "red").save(tmp_path / "dream.png")
    figures = tuple(Figure(file=name, title="Dream") for name in ("dream.jpg", "dream.png"))
    evaluation = data.evaluation.model_copy(update={"figures": figures})
    run = replace(data, evaluation=evaluation, evaluation_dir=tmp_path, history=History(()))
    page = parse(write_report(run, tmp_path / "report.html"))
    jpeg, png = page.attributes("img")
    assert str(jpeg["src"]).startswith("data:image/jpeg;base64,")
    assert (png["width"], png["height"]) == ("40", "30")
    assert page.attributes("source") == []


def test_same_input_gives_the_same_bytes(data: ReportData, report: Path, tmp_path: Path) -> None:
    again = make_data(tmp_path / "evaluate")
    assert write_report(again, tmp_path / "report.html").read_bytes() == report.read_bytes()
    cards = [write_card(d, tmp_path / f"{n}.md").read_bytes() for n, d in enumerate((data, again))]
    assert cards[0] == cards[1]


def test_failed_validation_is_told() -> None:
    validation = make_validation()
    failed = validation.expectations[0].model_copy(update={"success": False, "unexpected": 12})
    verdict = state_validation(
        validation.model_copy(
            update={"success": False, "expectations": (failed, *validation.expectations[1:])}
        )
    )
    assert verdict.tone == "bad"
    assert verdict.sentence.startswith("The data did not pass validation: 1 of 5 checks failed.")
    checks, drift = verdict.tables
    assert [row.cells[2] for row in checks.rows] == ["12"]
    assert verdict.passed is not None
    assert len(verdict.passed.rows) == 4
    # Only what is beyond its limit.
    assert [row.cells for row in drift.rows] == [("temperature_c", "psi", "0.284", "0.250")]


def test_a_check_that_only_warns_is_counted() -> None:
    validation = make_validation()
    warned = validation.expectations[0].model_copy(update={"success": False, "severity": "warning"})
    verdict = state_validation(validation.model_copy(update={"expectations": (warned,)}))
    assert verdict.tone == "good"
    assert verdict.sentence.startswith("The data passed validation: 0 of 1 checks passed, the")


def test_shares_by_column_are_one_table_and_passed_checks_are_folded(
    data: ReportData, tmp_path: Path
) -> None:
    shares = {"co_mg_m3": 0.18, "nox_ppb": 0.17, "no2_ug_m3": 0.0, "temperature_c": 0.04}
    run = replace(data, data_facts={"rows": 8991, "missing_share": shares, "span": {"days": 390}})
    html = write_report(run, tmp_path / "report.html").read_text("utf-8")
    facts = html.partition('<section id="data">')[2].partition("</section>")[0]
    assert facts.count("<dt>rows</dt>") == facts.count("<dt>span days</dt>") == 1
    assert "<dt>missing share" not in facts
    assert "<caption>Missing share</caption>" in facts
    assert '<th scope="row">nox_ppb</th>' in facts
    checks = html.partition('<section id="validation">')[2].partition("</section>")[0]
    folded = checks.partition("<details>")[2].partition("</details>")[0]
    assert "<summary>5 checks passed</summary>" in folded
    assert "increasing time" in folded
    assert "increasing time" not in checks.partition("<details>")[0]


def test_every_cell_of_a_wide_table_names_its_column_for_phones(report: Path) -> None:
    html = report.read_text("utf-8")
    wide = re.findall(r'<table class="stacks">.*?</table>', html, re.DOTALL)
    assert wide
    for table in wide:
        cells = re.findall(r"<td\b[^>]*>", table)
        assert all('data-label="' in cell for cell in cells)


def test_distributions_are_drawn_to_one_scale() -> None:
    def profile(values: list[float]) -> dict[str, Any]:
        return {"dtype": "number", "quantiles": sorted(values)}

    drawn = draw_distribution("t", profile([1.0, 2.0, 2.0, 3.0]), profile([3.0, 3.0, 3.0, 9.0]))
    assert drawn is not None
    assert len(drawn.labels) == 2
    for path in (drawn.before, drawn.now):
        assert path.startswith(f"M0 {HEIGHT}V")
        assert path.endswith(f"H{WIDTH}.0V{HEIGHT}")
        heights = [float(found) for found in re.findall(r"V([0-9.]+)", path)]
        assert 2 <= min(heights) < max(heights) == HEIGHT
    same = draw_distribution("t", profile([5.0] * 4), profile([5.0] * 4))
    assert same is not None
    assert same.before == same.now
    shares = {"categories": {"basic": 0.7, "pro": 0.3}}
    categories = draw_distribution("plan", shares, {"categories": {"plus": 1.0}})
    assert categories is not None
    assert categories.labels == ("basic", "pro", "plus")
    assert draw_distribution("t", profile([1.0]), shares) is None
