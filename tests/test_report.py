"""The report, the model card and the summary of a realistic, synthetic run."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regrow.engine import plots
from regrow.engine.card import summary_markdown, write_card
from regrow.engine.report import ReportData, draw_curves, summarise_validation, write_report

UNIT = "µg/m³"
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


def make_series(rows: int = 2669) -> tuple[Any, Any, dict[str, Any]]:
    """Hourly times with a hole, benzene-like values, and the predictions of two variants."""
    random = np.random.default_rng(7)
    hours = np.arange(rows + 90)
    hours = hours[(hours < 900) | (hours >= 990)]
    time = np.datetime64("2004-12-19T04", "h") + hours
    rush = np.exp(-(((hours % 24) - 8) ** 2) / 6) + 1.2 * np.exp(-(((hours % 24) - 19) ** 2) / 8)
    week = np.where((hours // 24) % 7 < 5, 1.0, 0.65)
    benzene = np.round(week * (2.2 + 9 * rush) * random.lognormal(0, 0.45, rows) + 0.2, 1)
    everything = benzene + random.normal(0, 0.029, rows)
    without = 0.93 * benzene + random.normal(0, 1, rows) * (0.5 + 0.14 * benzene)
    return time, benzene, {"all sensors": everything, "without PT08.S2": without}


def make_history(seeds: int = 5) -> list[dict[str, Any]]:
    random = np.random.default_rng(11)
    history = []
    for group, floor in (("all sensors", 2e-5), ("without PT08.S2", 6e-2)):
        for seed in range(seeds):
            epochs = np.arange(80 + int(random.integers(0, 40)))
            loss = (floor + np.exp(-epochs / 7)) * np.exp(random.normal(0, 0.08, len(epochs)))
            check = loss * 1.2 + floor * random.random(len(epochs))
            history.append(
                {
                    "run": f"{group}/seed-{seed}",
                    "curves": {"loss": loss.tolist(), "val_loss": check.tolist()},
                }
            )
    return history


def make_evaluation(folder: Path) -> dict[str, Any]:
    time, actual, predicted = make_series()
    named: dict[str, Any] = {"label": "benzene", "unit": UNIT}
    results = {"mean": 7.31, "linear": 2.01, "gradient boosting": 0.225, "random forest": 0.0531}
    results |= {"isotonic on PT08.S2": 0.0212, "network": 0.0304}
    plots.plot_over_time(time, actual, predicted, folder / "figures/over_time.png", **named)
    plots.plot_residuals(actual, predicted, folder / "figures/residuals.png", **named)
    plots.plot_scatter(actual, predicted, folder / "figures/scatter.png", **named)
    plots.plot_bars(
        results,
        folder / "figures/baselines.png",
        label="RMSE on the last 30 %",
        unit=UNIT,
        highlight={"network"},
        spreads={"network": 0.0012},
    )
    figures = {
        "over_time": (
            "Actual against predicted",
            "Hourly benzene in the test part, 19 December 2004 to 4 April 2005.",
        ),
        "residuals": ("Residuals", "Errors of the median seed; each variant has its own scale."),
        "scatter": ("Predicted against actual", "On the dashed line both are equal."),
        "baselines": ("Baselines", "The scale is logarithmic."),
    }
    return {
        "headline": {
            "metric": "rmse",
            "label": "RMSE on the last 30 %",
            "unit": UNIT,
            "direction": "minimize",
            "value": 0.0304,
            "spread": 0.0012,
            "seeds": 5,
            "baseline": {"name": "isotonic on PT08.S2", "value": 0.0212},
        },
        "metrics": {"rmse": 0.0304, "mae": 0.0233},
        "tables": [
            {
                "title": "All sensors",
                "caption": "The network is the mean of 5 seeds; 0.029 is what rounding leaves.",
                "columns": ["model", f"RMSE {UNIT}", f"MAE {UNIT}", "R²", "parameters"],
                "rows": [
                    ["network", 0.0304, 0.0233, 0.99998, 1089],
                    ["isotonic on PT08.S2", 0.0212, 0.0179, 0.99999, None],
                    ["random forest", 0.0531, 0.0302, 0.99995, None],
                    ["gradient boosting", 0.225, 0.0713, 0.99895, None],
                    ["linear", 2.01, 1.352, 0.9162, 13],
                    ["mean", 7.31, 5.421, -0.0104, 1],
                ],
            },
            {
                "title": "Without PT08.S2(NMHC)",
                "columns": ["model", f"RMSE {UNIT}", f"MAE {UNIT}", "R²"],
                "rows": [
                    ["network", 1.87, 1.213, 0.927],
                    ["linear", 2.41, 1.654, 0.879],
                    ["gradient boosting", 2.94, 1.903, 0.821],
                ],
            },
        ],
        "figures": [
            {"file": f"figures/{name}.png", "title": title, "caption": caption}
            for name, (title, caption) in figures.items()
        ],
        "notes": [
            "Benzene is a deterministic function of PT08.S2(NMHC), up to its rounding to 0.1.",
            "The split is by time: the last 30 % of the rows were never seen in training.",
        ],
    }


def make_validation() -> dict[str, Any]:
    def check(name: str, column: str, rows: int, bad: int = 0) -> dict[str, Any]:
        return {
            "check": name,
            "column": column,
            "success": bad == 0,
            "rows": rows,
            "failing rows": bad,
        }

    return {
        "success": True,
        "checks": [
            check("values between 0 and 100", "benzene_ug_m3", 8991),
            check("values between -5 and 50", "temperature_c", 8991),
            check("values between 0 and 100", "relative_humidity_percent", 8991),
            check("no duplicate", "time", 8991),
            check("increasing", "time", 8991),
        ],
        "drift": [
            {"column": "co_mg_m3", "psi": 0.031, "missing_now": 0.179, "warning": False},
            {"column": "temperature_c", "psi": 0.284, "missing_now": 0.0, "warning": True},
        ],
        "warnings": ["temperature_c: PSI 0.284 is above 0.25 against the champion's data"],
    }


def make_data(folder: Path, **changes: Any) -> ReportData:
    """A whole run of air-quality with invented figures."""
    stages = ["download", "clean", "validate", "train", "evaluate"]
    digest = "13277ae5d8581e80b7be09d47c7d3d06fe9b8e957078f2cf6e859f955e62f996"
    data = ReportData(
        name="air-quality",
        title="Benzene from the other sensors of a street-side air quality station",
        description="A small network estimates the hourly benzene concentration from cheap metal "
        "oxide sensors, temperature and humidity.",
        run="20251124T094812-3fa2b7c1",
        created_at="2025-11-24T09:48:12+00:00",
        preset="best",
        config={
            "hidden_units": [32, 16],
            "epochs": 200,
            "batch_size": 10,
            "learning_rate": 0.001,
            "seeds": 5,
            "test_share": 0.3,
            "drop_sensor": None,
            "early_stopping": {"patience": 20, "restore_best": True},
        },
        data_kind="real",
        sources=[
            {
                "name": "air-quality",
                "file": "AirQualityUCI.csv",
                "sha256": digest,
                "bytes": 785065,
                "origin": "https://archive.ics.uci.edu/static/public/360/air+quality.zip",
                "licence": "CC BY 4.0",
                "licence_url": "https://creativecommons.org/licenses/by/4.0/",
                "homepage": "https://archive.ics.uci.edu/dataset/360/air+quality",
                "title": "Air Quality, UCI Machine Learning Repository, data set 360",
                "citation": "Vito, S. (2008). Air Quality. UCI Machine Learning Repository. "
                "https://doi.org/10.24432/C59K5F",
            }
        ],
        data_facts={
            "rows": 8991,
            "columns": 14,
            "rows_without_target": 366,
            "first": "2004-03-10 18:00",
            "last": "2005-04-04 14:00",
            "training_rows": 6293,
            "test_rows": 2698,
        },
        validation=make_validation(),
        history=make_history(),
        evaluation=make_evaluation(folder),
        evaluation_dir=folder,
        decision={
            "action": "promote",
            "version": 3,
            "reason": "the challenger's RMSE on the current test data is 23.2 % below the "
            "champion's, more than the margin of 1 %",
            "challenger": 0.0304,
            "champion": 0.0396,
            "margin": 0.01,
        },
        lineage={
            "git_commit": "9f2c1e07a4d1b7f3c05f8c3f6f7f2b9f1c0e5a11",
            "git_dirty": False,
            "stages": [
                {
                    "stage": name,
                    "fingerprint": digest[n:] + digest[:n],
                    "digest": digest[::-1],
                    "cached": n < 2,
                    "seconds": [0.02, 0.05, 6.31, 48.7, 9.92][n],
                }
                for n, name in enumerate(stages)
            ],
            "libraries": {"keras": "3.15.1", "numpy": "2.4.0", "pandas": "3.1.0"},
            "backend": "tensorflow",
            "python": "3.11.2",
            "platform": "Linux x86_64",
        },
        training_facts={"parameters": 1089, "seconds": 48.7, "runs": 10},
    )
    return replace(data, **changes)


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
    evaluation = dict(data.evaluation)
    evaluation["headline"] = {
        **evaluation["headline"],
        "label": HOSTILE,
        "unit": HOSTILE,
        "baseline": {"name": HOSTILE, "value": 1.0},
    }
    evaluation["tables"] = [
        {"title": HOSTILE, "caption": HOSTILE, "columns": [HOSTILE, "b"], "rows": [[HOSTILE, 1.5]]}
    ]
    evaluation["figures"] = [
        {"file": "figures/scatter.png", "title": HOSTILE, "caption": HOSTILE},
        {"file": HOSTILE, "title": HOSTILE, "caption": HOSTILE},
    ]
    evaluation["notes"] = [HOSTILE]
    run = {"run": f"{HOSTILE}/seed-0", "curves": {"loss": [1.0, 0.5]}}
    return replace(
        data,
        name=HOSTILE,
        title=HOSTILE,
        description=HOSTILE,
        run=HOSTILE,
        created_at=HOSTILE,
        preset=HOSTILE,
        config=hostile(dict(data.config)),
        sources=[dict.fromkeys(data.sources[0], HOSTILE)],
        data_facts=hostile(dict(data.data_facts)),
        validation={"success": True, "warnings": [HOSTILE], "checks": [{HOSTILE: HOSTILE}]},
        history=[run],
        evaluation=evaluation,
        lineage={"git_commit": HOSTILE, "libraries": {HOSTILE: HOSTILE}},
        decision={"action": HOSTILE, "reason": HOSTILE, "version": HOSTILE, HOSTILE: HOSTILE},
        card=dict.fromkeys(("intended_use", "out_of_scope", "factors", "ethics"), HOSTILE),
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
    assert len(images) == len(data.evaluation["figures"]) + 1  # and the curves
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
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
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
    words_of_warning = "these figures say nothing about the real data"
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
    card = write_card(run, tmp_path / "card.md").read_text("utf-8")
    summary = summary_markdown(run, report_link="file:///a b)(c.html", mlflow_link=None)
    for text in (card, summary):
        assert not re.search(r"(?<!\\)<script", text)
        assert not re.search(r"(?<!\\)\]\(javascript", text)
        check_tables(text)


def test_a_source_links_only_to_web_addresses(data: ReportData, tmp_path: Path) -> None:
    source = {**data.sources[0], "homepage": "javascript:alert(1)", "origin": "/home/me/file.csv"}
    page = parse(write_report(replace(data, sources=[source]), tmp_path / "report.html"))
    links = [str(a["href"]) for a in page.attributes("a") if not str(a["href"]).startswith("#")]
    assert links == ["https://creativecommons.org/licenses/by/4.0/"]
    assert "/home/me/file.csv" in words(page)


def test_missing_parts_do_not_break_it(data: ReportData, tmp_path: Path) -> None:
    headline = {"metric": "rmse", "label": "RMSE", "direction": "minimize", "value": 2.0}
    one_seed = [{"run": "seed-0", "curves": {"loss": [1.0, 0.5, 0.4]}}]
    bare: dict[str, dict[str, Any]] = {
        "nothing": {"evaluation": {}, "history": [], "validation": {}, "sources": []},
        "plain": {"evaluation": {"headline": headline}, "history": one_seed},
        "one epoch": {"history": [{"run": "a/seed-0", "curves": {"loss": [float("nan")]}}]},
        "no curves": {"history": [{"run": "a", "curves": {}}]},
        "lost picture": {"evaluation": {**data.evaluation, "figures": [{"file": "gone.png"}]}},
        "outside": {"evaluation": {"figures": [{"file": "../../secret.png", "title": "x"}]}},
    }
    (tmp_path / "secret.png").write_bytes(b"secret")
    for changes in bare.values():
        run = replace(
            data,
            **{"decision": None, "training_facts": {}, "data_facts": {}, "config": {}, **changes},
            lineage={},
        )
        text = words(parse(write_report(run, tmp_path / "report.html")))
        assert "The gate has not compared this model yet." in text
        check_tables(write_card(run, tmp_path / "card.md").read_text("utf-8"))
        check_tables(summary_markdown(run, report_link=None, mlflow_link=None))


def test_a_figure_outside_the_stage_is_not_read(data: ReportData, tmp_path: Path) -> None:
    (tmp_path / "evaluate").mkdir()
    plots.plot_bars({"a": 1.0, "b": 2.0}, tmp_path / "secret.png", label="x")
    run = replace(
        data,
        evaluation={"figures": [{"file": "../secret.png"}]},
        evaluation_dir=tmp_path / "evaluate",
        history=[],
    )
    page = parse(write_report(run, tmp_path / "report.html"))
    assert page.attributes("img") == []


def test_pictures_that_are_no_charts_are_shown_as_they_are(
    data: ReportData, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30), "red").save(tmp_path / "dream.jpg")
    Image.new("RGB", (40, 30), "red").save(tmp_path / "dream.png")
    figures = [{"file": name, "title": "Dream"} for name in ("dream.jpg", "dream.png")]
    run = replace(data, evaluation={"figures": figures}, evaluation_dir=tmp_path, history=[])
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


def test_failed_validation_is_told(data: ReportData) -> None:
    validation = make_validation()
    validation["success"] = False
    validation["checks"][0] |= {"success": False, "failing rows": 12}
    verdict = summarise_validation(validation)
    assert verdict.tone == "bad"
    assert verdict.sentence.startswith("The data did not pass validation: 1 of 5 checks failed.")
    assert verdict.tables[0].rows[0].cells[-1] == "12"
    assert verdict.tables[0].rows[0].cells[2] == "failed"


def test_any_layout_of_records_becomes_tables() -> None:
    drift = {"reference": "v2", "columns": {"co": {"psi": 0.1, "passed": False}}}
    verdict = summarise_validation({"success": True, "drift": drift, "checks": [{"passed": True}]})
    assert [table.title for table in verdict.tables] == ["drift columns", "checks"]
    assert [column.label for column in verdict.tables[0].columns] == ["name", "psi", "passed"]
    assert verdict.sentence.startswith("The data passed validation: 1 of 2 checks held, the")


def test_curves_are_drawn_for_each_quantity() -> None:
    curves = {"loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "accuracy": [0.5, 0.7]}
    pictures = draw_curves([{"run": f"seed-{n}", "curves": curves} for n in range(3)])
    assert [picture.title for picture in pictures] == ["Loss per epoch", "Accuracy per epoch"]
    assert "3 runs, of 2 epochs: the line is their median" in pictures[0].caption


def test_a_run_that_stopped_early_keeps_its_last_value() -> None:
    curves = [np.array([4.0, 2.0]), np.array([4.0, 3.0, 1.0]), np.array([4.0, 3.0, 5.0])]
    assert plots.median_curve(curves).tolist() == [4.0, 3.0, 2.0]


def test_lines_are_not_drawn_across_holes(tmp_path: Path) -> None:
    """The close-up of a plot over time with a hole differs from one without."""
    hours = np.arange(50)
    value = np.sin(hours / 5)
    time = np.datetime64("2004-03-10T18", "h") + hours
    gap = np.where(hours < 25, time, time + np.timedelta64(2, "D"))
    whole = plots.plot_over_time(time, value, {"a": value}, tmp_path / "a.png", label="x")
    holed = plots.plot_over_time(gap, value, {"a": value}, tmp_path / "b.png", label="x")
    assert whole.read_bytes() != holed.read_bytes()


def test_card_has_every_heading(data: ReportData, tmp_path: Path) -> None:
    card = write_card(replace(data, card={"factors": "Season."}), tmp_path / "card.md")
    text = card.read_text("utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
        "How to load",
    ]
    assert "## Factors\n\nSeason.\n" in text
    assert "import regrow.models.air_quality.network" in text
    assert 'load_model("models:/air-quality@champion")' in text
    assert not re.search(r"[^\n]\n#", text)  # headings stand alone
    check_tables(text)


def check_tables(markdown: str) -> None:
    """Every row of a Markdown table has as many cells as its head."""
    block: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            block.append(line)
        elif block:
            counts = {len(re.findall(r"(?<!\\)\|", row)) for row in block}
            assert len(counts) == 1, block
            assert re.fullmatch(r"\|( -{3}:? \|)+", block[1])
            block = []


def test_summary_says_it_on_half_a_page(data: ReportData) -> None:
    text = summary_markdown(
        data,
        report_link="file:///home/me/my reports/report.html",
        mlflow_link="http://localhost:5000",
    )
    assert (
        "**RMSE on the last 30 %: 0.0304 ± 0.0012 µg/m³ (mean and spread over 5 seeds), 43 % above "
        "the best baseline, isotonic on PT08.S2 (0.0212 µg/m³).**" in text
    )
    assert "[Report](<file:///home/me/my%20reports/report.html>)" in text
    assert "[MLflow run](<http://localhost:5000>)" in text
    assert "| **isotonic on PT08.S2** | **0.0212** |" in text
    assert re.search(r"all sensors: [\d.]+ [▁▂▃▄▅▆▇█]{24} [\d.]+", text)
    assert "| rows | 8,991 |" in text
    check_tables(text)
