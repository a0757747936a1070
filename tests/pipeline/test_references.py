"""References between stages: they hold for the facts of a result, and not for its files alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.records import last_run
from regrow.store.entry import MANIFEST, Manifest


def test_facts_that_were_edited_with_a_digest_that_fits_are_refused(
    trained: Path, tmp_path: Path
) -> None:
    settings = read_environment({"REGROW_HOME": str(shutil.copytree(trained, tmp_path / "home"))})
    record = last_run(settings.home, "air-quality")
    assert record is not None
    pipeline = Pipeline(get_spec("air-quality"), record.request, settings)
    ref = record.stages["download"]
    entry = pipeline.entry(ref)
    changed = entry.manifest.model_copy(update={"facts": {**entry.facts, "kind": "real"}})
    changed = changed.model_copy(update={"manifest_digest": changed.compute_digest()})
    (entry.path / MANIFEST).write_text(changed.model_dump_json())
    with pytest.raises(UserError, match="has changed since this run found or built it") as caught:
        pipeline.entry(ref)
    assert str(entry.path) in str(caught.value)
    # A record of an older run does not state the digest.
    assert pipeline.entry(ref.model_copy(update={"manifest_digest": ""})).facts["kind"] == "real"
    assert Manifest.model_validate_json(entry.manifest.model_dump_json()) == entry.manifest
