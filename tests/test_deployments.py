"""prefect.yaml: every model has a deployment whose flow can be imported, and its triggers."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Any

import yaml
from prefect import Flow

from flows.deploy import Extras
from flows.pipeline import request_of
from flows.refresh import EVENT
from regrow.engine.source_list import load_sources
from regrow.models import get_spec, list_models
from regrow.models.air_quality.spec import AirQualityConfig
from tests.conftest import REPOSITORY

# Flows that are not one model's own, and whether a schedule starts them or only a person.
OPERATIONS = {
    "sweep": False,
    "retrain-all": False,
    "backfill": False,
    "rollback": False,
    "predict": True,
    "drift": False,
    "refresh": True,
    "stage": False,
}
DECLARED = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())


def load_flow(deployment: dict[str, Any]) -> Any:
    path, _, name = deployment["entrypoint"].partition(":")
    return getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)


def test_every_model_has_a_deployment_of_its_flow() -> None:
    names = []
    for deployment in DECLARED["deployments"]:
        flow = load_flow(deployment)
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


def test_a_pipeline_is_triggered_by_the_sources_that_it_reads_and_by_no_other() -> None:
    declared = load_sources(REPOSITORY / "data" / "sources.toml")
    for deployment in DECLARED["deployments"]:
        flow = load_flow(deployment)
        if flow.name not in list_models():
            continue
        wanted = {name for name in get_spec(flow.name).sources if declared[name].refresh}
        triggers = deployment.get("triggers", [])
        for trigger in triggers:
            source = trigger["match"]["prefect.resource.id"].removeprefix("regrow.source.")
            assert trigger["expect"] == [EVENT]
            assert trigger["parameters"] == {"versions": {source: "{{ event.payload.version }}"}}
            wanted.remove(source)
        assert not wanted, f"{flow.name} is not triggered by {wanted}"
        assert len({trigger["name"] for trigger in triggers}) == len(triggers)


def test_the_pools_that_deployments_name_are_declared() -> None:
    pools = {pool.name: pool for pool in Extras.model_validate(DECLARED["regrow"]).work_pools}
    for deployment in DECLARED["deployments"]:
        pool = pools[deployment["work_pool"]["name"]]
        queue = deployment["work_pool"].get("work_queue_name")
        assert queue is None or queue in {queue.name for queue in pool.queues}
        assert deployment["description"]


def test_a_run_by_the_command_is_heard_of_as_often_as_a_deployed_one() -> None:
    code = (
        "from regrow.cli.act import import_flows\n"
        "from regrow.engine.config import read_environment\n"
        "import_flows('refresh', read_environment())\n"
        "from prefect.settings import get_current_settings\n"
        "print(get_current_settings().flows.heartbeat_frequency)"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    every_s = float(done.stdout)
    (watch,) = [a for a in DECLARED["regrow"]["automations"] if a["name"] == "regrow-dead-runs"]
    assert every_s * 4 < watch["trigger"]["within"]


def test_settings_typed_into_the_form_take_the_presets_place() -> None:
    config = {"seeds": 2, "variants": {"all-sensors": {"inputs": ["pt08_s1_co"], "epochs": 3}}}
    for given in (config, AirQualityConfig.model_validate(config)):
        request = request_of("air-quality", {"preset": "quick", "config": given})
        assert AirQualityConfig.model_validate(request.config) == AirQualityConfig.model_validate(
            config
        )
    request = request_of("air-quality", {"preset": "quick"})
    quick = get_spec("air-quality").presets["quick"]
    assert set(request.config["variants"]) == set(quick["variants"])
