"""Why a stage would run again: its fingerprint's parts now beside those of the last run."""

from __future__ import annotations

from typing import Any

from regrow.base.digests import digest_json
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.records import RunRecord
from regrow.pipeline.stages import STAGES, Stage
from regrow.store.entry import MANIFEST, Manifest
from regrow.store.fingerprint import explain


def explain_stages(pipeline: Pipeline, record: RunRecord | None) -> list[dict[str, Any]]:
    """For every stage: whether its result would be found, and if not, what changed.

    Returns:
        One dict a stage with "stage", "cached", "fingerprint" (None where it depends on a result
        that is still to be made) and "reasons".
    """
    verdicts: list[dict[str, Any]] = []
    digests: dict[Stage, str] = {}
    sample = _used_sample(pipeline, record)
    for stage, needs in STAGES.items():
        missing = [need for need in needs if need not in digests]
        fingerprint, reasons, cached = None, [], False
        if missing:
            reasons = [f"depends on the new result of {need}" for need in missing]
        elif stage == "download" and not sample and pipeline.sources.must_ask:
            reasons = ["a source has not been downloaded"]  # its version is not known before
        else:
            components = pipeline.components(stage, digests, sample=sample)
            fingerprint = digest_json(components)
            entry = pipeline.store.find(pipeline.spec.name, stage, fingerprint)
            if entry is not None and pipeline.holds(stage, entry):
                cached = True
                digests[stage] = entry.digest
            elif entry is not None:
                reasons = ["the registry has changed: the version will be judged again"]
            else:
                before = _last_manifest(pipeline, record, stage)
                if before is None:
                    reasons = ["has never finished"]
                elif before.fingerprint == fingerprint:
                    reasons = ["its stored result is missing or damaged"]
                else:
                    reasons = explain(before.components, components)
        verdicts.append(
            {"stage": stage, "cached": cached, "fingerprint": fingerprint, "reasons": reasons}
        )
    return verdicts


def _used_sample(pipeline: Pipeline, record: RunRecord | None) -> bool:
    """Whether the run reads the sample; where either will do, what the last run fell back to."""
    if pipeline.request.data != "real-or-sample":
        return pipeline.request.data == "sample"
    manifest = _last_manifest(pipeline, record, "download")
    return manifest is not None and manifest.facts.get("kind") == "sample"


def _last_manifest(pipeline: Pipeline, record: RunRecord | None, stage: Stage) -> Manifest | None:
    """The manifest of the stage in the last run, even if its files are damaged."""
    ref = record.stages.get(stage) if record else None
    if ref is None:
        return None
    path = pipeline.settings.home.store / ref.model / stage / ref.fingerprint / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
