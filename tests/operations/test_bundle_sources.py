"""Bundles carry the data that are in use, also those that are newer than declared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from regrow.base.digests import digest_file
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.operations.bundle_export import export_bundle
from regrow.operations.bundle_import import import_bundle
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.sources.refresh import check_source
from regrow.sources.versions import read_versions
from tests.support.upstreams import air_quality_zip, serve

SPEC = get_spec("air-quality")


def settings_of(home: Path, mirror: str | None = None) -> Settings:
    return replace(read_environment({"REGROW_HOME": str(home)}), mirror=mirror)


def test_refreshed_data_are_in_use_after_an_import(tmp_path: Path) -> None:
    path, empty = tmp_path / "models.zip", settings_of(tmp_path / "empty")
    with serve() as upstream:
        upstream.publish("air-quality/AirQualityUCI.zip", air_quality_zip(1500))
        first = settings_of(tmp_path / "first", upstream.url)
        assert check_source("air-quality", first, ignore).outcome == "changed"
        assert export_bundle([SPEC], first, path, sources=True)["sources"] == ["air-quality"]
        # Where a version was recorded before, it stays in use.
        upstream.publish("air-quality/AirQualityUCI.zip", air_quality_zip(1600))
        other = settings_of(tmp_path / "other", upstream.url)
        assert check_source("air-quality", other, ignore).outcome == "changed"
        before = read_versions(other.home, "air-quality")
    import_bundle(path, other)
    assert read_versions(other.home, "air-quality") == before
    import_bundle(path, empty)
    recorded = read_versions(empty.home, "air-quality")
    assert recorded == read_versions(first.home, "air-quality")
    pipeline = Pipeline(SPEC, make_request(SPEC), empty)
    ref = pipeline.run_stage("download", {}, ignore)  # without a mirror or a network
    content = pipeline.entry(ref).file("AirQualityUCI.csv")
    assert digest_file(content) == recorded[-1].members["AirQualityUCI.csv"].sha256
