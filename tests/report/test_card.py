"""The model card and the summary of a run, and the cards of the shipped models."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from regrow.base.project import get_spec, list_models
from regrow.report.card import summary_markdown, write_card
from regrow.report.data import ReportData
from tests.support.report_run import make_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return make_data(tmp_path_factory.mktemp("evaluate"))


def read_metadata(card: Path) -> dict[str, Any]:
    text = card.read_text("utf-8")
    assert text.startswith("---\n")
    found = yaml.safe_load(text[4:].partition("\n---\n")[0])
    assert isinstance(found, dict)
    return found


def test_card_has_every_heading(data: ReportData, tmp_path: Path) -> None:
    text = write_card(data, tmp_path / "card.md").read_text("utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Model details",
        "Intended use",
        "Training data",
        "Evaluation",
        "Limits",
        "Ethical considerations",
        "How to load",
    ]
    assert data.spec.card
    for words in ("To estimate benzene.", "One town in Italy.", "The sensors drift."):
        assert words in text
    assert f"\n{data.spec.card.command}\n" in text
    assert 'mlflow.pyfunc.load_model("models:/' in text
    assert "the champion of air-quality in the registry" in text
    assert "Licence: CC BY 4.0. Vito, S. (2008)." in text
    assert not re.search(r"[^\n]\n#", text.partition("\n---\n")[2])  # headings stand alone
    check_tables(text)


def test_metadata_is_what_the_hub_reads(data: ReportData, tmp_path: Path) -> None:
    found = read_metadata(write_card(data, tmp_path / "card.md"))
    assert found["license"] == "cc-by-4.0"
    assert found["library_name"] == "keras"
    assert found["pipeline_tag"] == "tabular-regression"
    assert found["tags"] == ["regrow", "keras", "sensors"]
    assert found["datasets"] == ["air-quality"]
    assert found["metrics"] == ["rmse", "mae"]
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert model["name"] == "air-quality"
    assert result["task"] == {"type": "tabular-regression", "name": data.spec.title}
    assert result["dataset"] == {"type": "air-quality", "name": data.sources[0].title}
    headline, evaluation = result["metrics"][0], data.evaluation
    assert headline == {
        "type": "rmse",
        "name": "RMSE on the last 30 %",
        "value": evaluation.headline.value,
    }
    assert {m["type"]: m["value"] for m in result["metrics"][1:]} == evaluation.metrics


def test_several_licences_are_stated_in_words(data: ReportData, tmp_path: Path) -> None:
    another = replace(data.sources[0], name="other", licence="CC BY 2.0")
    run = replace(data, sources=[*data.sources, another])
    found = read_metadata(write_card(run, tmp_path / "card.md"))
    assert (found["license"], found["license_name"]) == ("other", "CC BY 4.0; CC BY 2.0")


def test_metadata_cannot_be_broken_out_of(data: ReportData, tmp_path: Path) -> None:
    title = "a: [b\n---\n# injected"
    run = replace(data, sources=[replace(data.sources[0], title=title)])
    found = read_metadata(write_card(run, tmp_path / "card.md"))
    assert found["model-index"][0]["results"][0]["dataset"]["name"] == title


def test_every_shipped_model_has_a_card_of_its_own(data: ReportData, tmp_path: Path) -> None:
    specs = [get_spec(name) for name in list_models()]
    cards = {}
    for spec in specs:
        assert spec.card, spec.name
        for name, words in asdict(spec.card).items():
            assert words or name == "languages", f"{spec.name}: {name}"
            if name not in ("languages", "pipeline_tag"):
                cards[words] = (spec.name, name)
        path = write_card(replace(data, spec=spec), tmp_path / f"{spec.name}.md")
        found = read_metadata(path)
        assert found["pipeline_tag"] == spec.card.pipeline_tag
        assert found["tags"][2:] == list(spec.card.tags)
        check_tables(path.read_text("utf-8"))
    assert len(specs) == 8
    assert len(cards) == 8 * 8  # no two say the same


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
        "**RMSE on the last 30 %: 0.0304 ± 0.0012 µg/m³ (mean and standard deviation over 5 "
        "seeds), 43 % above the best baseline, isotonic on PT08.S2 (0.0212 µg/m³).**" in text
    )
    assert "[Report](<file:///home/me/my%20reports/report.html>)" in text
    assert "[MLflow run](<http://localhost:5000>)" in text
    assert "| **isotonic on PT08.S2** | **0.0212** |" in text
    assert re.search(r"all sensors: [\d.]+ [▁▂▃▄▅▆▇█]{24} [\d.]+", text)
    assert "| rows | 8,991 |" in text
    check_tables(text)
