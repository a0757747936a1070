"""The facts of a publication: read as they are stored, null for NaN; another form is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import UserError
from regrow.registry.release import PublishFacts
from regrow.store.entry import Entry, Manifest

STORED: dict[str, Any] = {
    "data_kind": "sample",
    "registered_name": "model.sample",
    "version": 3,
    "decision": {
        "model": "model.sample",
        "action": "refused",
        "version": 3,
        "champion_before": 2,
        "champion_after": 2,
        "metric": "rmse",
        "challenger": None,
        "champion": 0.5,
        "margin": 0.01,
        "reason": "it has no usable figure",
        "data_version": "abcd",
        "key": "k",
        "at": "2026-01-01T00:00:00+00:00",
        "hold": None,
        "by": "",
    },
    "headline": {
        "metric": "rmse",
        "label": "RMSE",
        "value": None,
        "direction": "minimize",
        "unit": "",
        "spread": 0.0,
        "seeds": 1,
        "baseline": {"name": "mean", "value": 0.75},
        "simplest": None,
    },
    "metrics": {"rmse": None, "mae": 0.25},
    "tables": [
        {
            "title": "Rows",
            "columns": ["model", "rmse"],
            "rows": [["network", None], ["mean", 0.75]],
            "caption": "",
            "best_by": None,
            "direction": "minimize",
        }
    ],
    "warnings": ["a note"],
    "report": "/home/reports/model.sample-v3.html",
    "report_url": "file:///home/reports/model.sample-v3.html",
    "mlflow_url": "",
    "mlflow_run": "r",
}


def store(facts: dict[str, Any]) -> Entry:
    manifest = Manifest(
        model="model",
        stage="publish",
        fingerprint="f",
        digest="d",
        created_at="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        files={},
        facts=facts,
        components={},
    )
    return Entry(Path("entry"), manifest)


def test_stored_facts_are_read_and_written_alike() -> None:
    facts = PublishFacts.read(store(STORED))
    assert json.loads(json.dumps(facts.to_json(), allow_nan=False)) == STORED
    assert math.isnan(facts.headline.value)
    assert math.isnan(facts.metrics["rmse"])
    assert facts.decision.challenger is None


def test_other_facts_are_refused() -> None:
    with pytest.raises(UserError, match="does not have the form") as caught:
        PublishFacts.read(store({**STORED, "version": "third", "data_kind": "made up"}))
    assert "version: " in str(caught.value)
    assert "data_kind: " in str(caught.value)
    assert "built again by regrow run model" in str(caught.value)
