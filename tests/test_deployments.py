"""prefect.yaml: every model has a deployment whose flow can be imported and has its name."""

from __future__ import annotations

import importlib

import yaml
from prefect import Flow

from regrow.models import get_spec, list_models
from tests.conftest import REPOSITORY

# Flows that are not one model's own, and whether a schedule starts them or only a person.
OPERATIONS = {
    "sweep": False,
    "retrain-all": False,
    "backfill": False,
    "rollback": False,
    "predict": True,
    "drift": False,
}


def test_every_model_has_a_deployment_of_its_flow() -> None:
    deployments = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    names = []
    for deployment in deployments:
        path, _, name = deployment["entrypoint"].partition(":")
        flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
        assert isinstance(flow, Flow)
        names.append(flow.name)
        if flow.name in OPERATIONS:
            assert bool(deployment.get("schedules")) == OPERATIONS[flow.name]
            continue
        # What the form in the UI offers is what there is.
        presets = flow.parameters.properties["preset"]["enum"]
        assert set(presets) == set(get_spec(flow.name).presets)
        assert deployment["schedules"][0]["timezone"]
    assert sorted(names) == sorted([*list_models(), *OPERATIONS])
