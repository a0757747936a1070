"""prefect.yaml: every model has a deployment whose flow can be imported, and its triggers."""

from __future__ import annotations

import importlib
import json
from typing import Any

import yaml
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.operations import backfill, drift, predict, retrain_all, review, rollback, sweep
from regrow.base.project import get_spec, list_models
from regrow.models.air_quality.spec import AirQualityConfig
from regrow.prefect.deploy import Extras
from regrow.prefect.flows import build_request
from regrow.prefect.refresh import EVENT
from regrow.prefect.run import HEARTBEAT_INTERVAL_S
from regrow.sources.catalog import load_sources
from tests.conftest import REPOSITORY

# Flows that are not one model's own, and whether a schedule starts them or only a person.
OPERATIONS = {
    "sweep": False,
    "retrain-all": False,
    "backfill": False,
    "review": False,
    "rollback": False,
    "predict": True,
    "drift": False,
    "refresh": True,
    "check-schedules": True,
    "gc": True,
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


def test_forms_offer_the_models() -> None:
    for flow in (sweep, backfill, review, rollback, drift, predict, retrain_all):
        found = json.dumps(parameter_schema(flow).model_dump())
        assert json.dumps(list_models()) in found, flow.name


def test_the_pools_that_deployments_name_are_declared() -> None:
    pools = {pool.name: pool for pool in Extras.model_validate(DECLARED["regrow"]).work_pools}
    for deployment in DECLARED["deployments"]:
        pool = pools[deployment["work_pool"]["name"]]
        queue = deployment["work_pool"].get("work_queue_name")
        assert queue is None or queue in {queue.name for queue in pool.queues}
        assert deployment["description"]


def test_a_run_by_the_command_is_heard_of_as_often_as_a_deployed_one() -> None:
    (seconds,) = {
        deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
        for deployment in DECLARED["deployments"]
    }
    assert int(seconds) == HEARTBEAT_INTERVAL_S
    (watch,) = [a for a in DECLARED["regrow"]["automations"] if a["name"] == "regrow-dead-runs"]
    assert watch["trigger"]["within"] > HEARTBEAT_INTERVAL_S * 4


def test_settings_typed_into_the_form_take_the_presets_place() -> None:
    spec = get_spec("air-quality")
    config = {"seeds": 2, "variants": {"all-sensors": {"inputs": ["pt08_s1_co"], "epochs": 3}}}
    for given in (config, AirQualityConfig.model_validate(config)):
        request = build_request(spec, {"preset": "quick", "config": given})
        assert AirQualityConfig.model_validate(request.config) == AirQualityConfig.model_validate(
            config
        )
    request = build_request(spec, {"preset": "quick"})
    assert set(request.config["variants"]) == set(spec.presets["quick"]["variants"])
