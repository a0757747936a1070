"""Room for a stage: on the disk, and below REGROW_MAX_BYTES."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.pipeline.disk import check_limit, check_room
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.sources.catalog import load_sources
from tests.conftest import REPOSITORY

ENORMOUS = 10**18


def read(home: Path, **variables: str) -> Settings:
    return read_environment({"REGROW_HOME": str(home), **variables})


def test_a_download_needs_the_sizes_that_are_declared(tmp_path: Path) -> None:
    settings = read(tmp_path / "home")
    source = load_sources(REPOSITORY / "data" / "sources.toml")["glove-6b-50d"]
    check_room("sentence-vectors", "download", settings, [source])
    plain = source.remote.model_copy(update={"bytes": ENORMOUS})
    with pytest.raises(UserError) as raised:
        check_room(
            "sentence-vectors",
            "download",
            settings,
            [source.model_copy(update={"plain": plain})],
        )
    text = str(raised.value)
    assert "not enough space on the disk for stage download of sentence-vectors" in text
    assert f"{2 * ENORMOUS / 2**20:,.0f} for the download and its copy" in text
    assert "regrow gc" in text


def test_other_stages_need_twice_their_last_result(tmp_path: Path) -> None:
    settings = read(tmp_path)
    result = tmp_path / "store" / "air-quality" / "train" / "f1ngerprint"
    result.mkdir(parents=True)
    check_room("air-quality", "train", settings)
    with (result / "model.keras").open("wb") as stream:
        stream.truncate(2**43)  # takes no room itself
    with pytest.raises(UserError, match="for stage train of air-quality") as raised:
        check_room("air-quality", "train", settings)
    assert "for twice the last result of this stage" in str(raised.value)
    check_room("air-quality", "clean", settings)


def test_the_home_stays_below_its_limit_and_the_run_names_it(tmp_path: Path) -> None:
    def download(limit: str) -> None:
        settings = read(tmp_path, REGROW_MAX_BYTES=limit)
        spec = get_spec("image-similarity")
        Pipeline(spec, make_request(spec), settings).run_stage("download", {}, ignore)

    with pytest.raises(UserError, match="the home is close to its size limit") as raised:
        download("20KB")
    assert "for stage download of image-similarity" in str(raised.value)
    assert "REGROW_MAX_BYTES" in str(raised.value)
    download("2MB")
    with pytest.raises(UserError, match="the home exceeds its size limit"):
        check_limit(read(tmp_path, REGROW_MAX_BYTES="1000"))
    check_limit(read(tmp_path))


@pytest.mark.parametrize("text", ["much", "0", "-5"])
def test_a_limit_is_a_size(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="must be a number of bytes greater than 0") as raised:
        read(tmp_path, REGROW_MAX_BYTES=text)
    assert "REGROW_MAX_BYTES" in str(raised.value)
    assert read(tmp_path, REGROW_MAX_BYTES="1GiB").max_bytes == 2**30
