"""New inputs: a folder predicted from, each file once; drift against the training data; flows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from regrow.base.decision import Hold
from regrow.base.errors import DataError, UserError
from regrow.base.home import Home
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.operations.input_drift import check_inputs
from regrow.operations.predict_folder import predict_folder
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.runs import run_stages
from regrow.registry.names import ChampionRef
from regrow.registry.versions import Registry
from tests.conftest import SAMPLE, Regrow
from tests.support.second_version import publish_changed
from tests.support.servers import use_server

pytestmark = pytest.mark.e2e
SPEC = get_spec("air-quality")
CHAMPION = ChampionRef("air-quality", sample=True)
LINES = SAMPLE.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose champion was trained on the sample."""
    home = tmp_path_factory.mktemp("home")
    request = make_request(SPEC, preset="quick", data="sample")
    pipeline = Pipeline(SPEC, request, read_environment({"REGROW_HOME": str(home)}))
    run_stages(pipeline, lambda stage, inputs: pipeline.run_stage(stage, inputs, ignore))
    return home


@pytest.fixture
def settings(home: Path) -> Settings:
    return read_environment({"REGROW_HOME": str(home)})


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    write_hours(folder / "first.csv", 1, 201)
    return folder


def write_hours(path: Path, start: int, stop: int) -> None:
    path.write_bytes(b"".join([LINES[0], *LINES[start:stop]]))


def predict(settings: Settings, inbox: Path) -> dict[str, Any]:
    outputs = inbox.parent / "predictions"
    return predict_folder(CHAMPION, settings, inbox, outputs)


def test_each_file_is_predicted_once_by_its_content(settings: Settings, inbox: Path) -> None:
    found = predict(settings, inbox)
    assert found["model"] == "air-quality.sample version 1"
    [one] = found["predicted"]
    assert (one["file"], one["rows"], one["outside"]) == ("first.csv", 200, 0)
    table = pq.read_table(one["output"])
    assert table.num_rows == 200
    metadata = table.schema.metadata
    assert metadata[b"regrow.model"] == b"air-quality.sample version 1"
    assert metadata[b"regrow.input"] == b"first.csv"
    assert pd.read_parquet(one["output"])["benzene_ug_m3_predicted"].notna().all()
    written = Path(one["output"]).stat().st_mtime_ns
    (inbox / "first.csv").rename(inbox / "renamed.csv")
    shutil.copy(inbox / "renamed.csv", inbox / "copied.csv")
    again = predict(settings, inbox)
    assert (again["model"], again["predicted"], again["known"]) == (None, [], 2)
    assert Path(one["output"]).stat().st_mtime_ns == written
    write_hours(inbox / "renamed.csv", 1, 301)
    assert predict(settings, inbox)["predicted"][0]["rows"] == 300
    names = sorted(path.name.partition(".")[0] for path in (inbox.parent / "predictions").iterdir())
    assert names == ["first", "renamed"]


def test_bad_files_are_named_and_stop_none_of_the_others(settings: Settings, inbox: Path) -> None:
    (inbox / "a-spoiled.csv").write_bytes(SAMPLE.read_bytes().replace(b";698;", b";n/a;", 1))
    (inbox / "b-empty.csv").touch()
    (inbox / "c-picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (inbox / "d-gone.csv").symlink_to(inbox / "nothing")
    (inbox / "e-folder").mkdir()
    (inbox / ".being-written.csv").write_bytes(b"half")
    found = predict(settings, inbox)
    assert [one["file"] for one in found["predicted"]] == ["first.csv"]
    why = {one["file"]: one["why"] for one in found["bad"]}
    assert sorted(name[0] for name in why) == list("abcde")
    assert "line 2" in why["a-spoiled.csv"]
    assert "empty" in why["b-empty.csv"]
    assert "no files" in why["e-folder"]
    assert len(list((inbox.parent / "predictions").iterdir())) == 1


def test_a_missing_model_is_no_fault_of_the_files(
    settings: Settings, inbox: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no champion"):
        predict_folder(ChampionRef(SPEC.name), settings, inbox, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(UserError, match="the outputs would be used as inputs"):
        predict_folder(CHAMPION, settings, inbox, inbox / "out")


def test_drift_of_the_training_data_itself_is_none_and_of_shifted_inputs_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    from regrow.models.air_quality.data import read_readings

    same = check_inputs(CHAMPION, settings, [SAMPLE])
    assert same["against"] == "air-quality.sample version 1"
    assert "temperature_c" not in same["drifted"] or len(same["drifted"]) < 6
    frame = read_readings(SAMPLE).drop(columns="benzene_ug_m3")
    frame["temperature_c"] += 20
    frame.loc[::2, "pt08_s5_o3"] = float("nan")
    shifted = tmp_path / "hot <summer>.parquet"
    frame.to_parquet(shifted)
    found = check_inputs(CHAMPION, settings, [shifted])
    assert {"temperature_c", "pt08_s5_o3"} <= set(found["drifted"])
    assert found["not_compared"] == ["benzene_ug_m3"]
    worst = {f["column"]: f for f in found["findings"] if f["check"] == "ks"}["temperature_c"]
    assert worst["value"] > 0.5
    page = Path(found["report"]).read_text()
    assert "hot &lt;summer&gt;.parquet" in page
    assert "temperature_c: KS distance" in page
    assert "columns have changed beyond the limits in 1,500 rows" in page
    assert json.loads(Path(found["report"]).with_suffix(".json").read_text())["rows"] == 1500


def test_few_rows_are_said_and_bad_or_no_rows_refused(settings: Settings, inbox: Path) -> None:
    write_hours(inbox / "few.csv", 1, 21)
    found = check_inputs(CHAMPION, settings, [inbox / "few.csv"])
    assert {f["check"] for f in found["findings"]} <= {"missing", "schema"}
    assert "With fewer than 100 rows" in found["verdict"]
    (inbox / "bad.csv").write_bytes(b"no;readings\n1;2\n")
    with pytest.raises(DataError):
        check_inputs(CHAMPION, settings, [inbox / "bad.csv"])
    with pytest.raises(UserError, match="its inputs are not a table"):
        check_inputs(ChampionRef("stacked-autoencoder"), settings, [SAMPLE])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with use_server(tmp_path_factory.mktemp("prefect")):
        yield


def test_the_flows_do_the_same_with_the_inbox_below_the_home(
    home: Path, settings: Settings, server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.artifacts import Artifact

    from regrow.prefect.decisions import rollback
    from regrow.prefect.drift import drift
    from regrow.prefect.predict import predict as predict_flow

    monkeypatch.setenv("REGROW_HOME", str(home))
    name = "air-quality.sample"
    nothing: Any = predict_flow("air-quality", sample=True, return_state=True)
    assert nothing.name == "Completed"
    assert drift("air-quality", sample=True, return_state=True).name == "Nothing to compare"
    inbox = home / "inbox" / name
    write_hours(inbox / "march.csv", 1, 401)
    (inbox / "spoiled.csv").write_bytes(b"no readings")
    state: Any = predict_flow("air-quality", sample=True, return_state=True)
    assert (state.name, state.type.value) == ("Bad files", "COMPLETED")
    found = state.result()[name]
    assert [one["file"] for one in found["bad"]] == ["spoiled.csv"]
    assert Path(found["predicted"][0]["output"]).parent == home / "predictions" / name
    # As the schedule runs it: each folder by its name, and what is wrong with one stops no other.
    write_hours(inbox / "april.csv", 401, 801)
    for other in ("question-answering.qa02", "no-such-model", "air-quality"):
        (home / "inbox" / other).mkdir()
        (home / "inbox" / other / "x.csv").write_bytes(b"x")
    state = predict_flow(return_state=True)
    assert state.name == "Bad files"
    by_name = state.result()
    assert [one["file"] for one in by_name[name]["predicted"]] == ["april.csv"]
    why = {other: one["bad"][0]["why"] for other, one in by_name.items()}
    assert "no-such-model" in why["no-such-model"]
    assert "qa02" in why["question-answering.qa02"]
    shown: Any = Artifact.get("air-quality-sample-predictions")
    assert shown is not None
    assert "april.csv" in str(shown.data)
    (inbox / "spoiled.csv").unlink()
    assert drift("air-quality", sample=True, return_state=True).is_completed()
    shown = Artifact.get("air-quality-drift")
    assert shown is not None
    assert "temperature_c" in str(shown.data)
    # A second version, so that there is one to go back to.
    request = make_request(SPEC, preset="quick", data="sample", overrides={"validation_share": 0.3})
    pipeline = Pipeline(SPEC, request, settings)
    run_stages(pipeline, lambda stage, inputs: pipeline.run_stage(stage, inputs, ignore))
    state = rollback("air-quality", version=2, sample=True, return_state=True)
    if state.is_failed():  # it was the better one
        assert "already the champion" in state.message
        state = rollback("air-quality", version=1, sample=True, return_state=True)
    decision = state.result()
    assert decision["action"] == "rolled-back"
    shown = Artifact.get("air-quality-decisions")
    assert shown is not None
    assert shown.description == decision["reason"]
    failed: Any = rollback("air-quality", version=9, sample=True, return_state=True)
    assert failed.is_failed()
    assert "has no version 9" in failed.message


def test_the_commands(regrow: Regrow, home: Path, inbox: Path, tmp_path: Path) -> None:
    here = {"REGROW_HOME": str(home)}
    (inbox / "bad.csv").write_bytes(b"no readings")
    out = tmp_path / "out"
    done = regrow("predict", "air-quality", inbox, "-o", out, "--sample", "--json", env=here)
    assert done.returncode == 2
    assert "1 could not be predicted; all others were" in done.stderr
    assert "bad.csv" in done.stderr
    assert len(json.loads(done.stdout)["predicted"]) == len(list(out.iterdir())) == 1
    done = regrow("drift", "air-quality", SAMPLE, "--sample", env=here)
    assert done.returncode == 0, done.stderr
    assert "in 1,500 rows" in done.stdout
    for name, (arguments, said) in ERRORS.items():
        done = regrow(*arguments, env=here)
        assert (done.returncode, name) == (2, name)
        assert said in done.stderr
        assert "Traceback" not in done.stderr + done.stdout
    for command in ("drift", "predict"):
        done = regrow(command, "--help", env={"COLUMNS": "200"})
        assert f"regrow {command}" in done.stdout.partition("Example")[2]


ERRORS: dict[str, tuple[list[str | Path], str]] = {
    "no file": (["drift", "air-quality", "nothing.csv"], "no such file"),
    "no table": (["drift", "image-similarity", SAMPLE], "its inputs are not a table"),
    "no folder to go to": (["predict", "air-quality", "."], "need an output folder"),
}


def test_a_person_decides_by_the_forms(
    home: Path, settings: Settings, server: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from prefect.artifacts import Artifact

    from regrow.prefect.decisions import review, rollback

    monkeypatch.setenv("REGROW_HOME", str(home))
    registry = Registry(settings.tracking_uri, "air-quality.sample", Home(home))
    holds = [Hold("approval", "every version of this model needs one")]
    version = publish_changed(registry, tmp_path / "second", 2.0, rmse=0.5, holds=holds)
    of_sample: Any = {"sample": True, "by": "Ann"}
    refused: Any = review(
        "air-quality", version, "approve", why=" ", **of_sample, return_state=True
    )
    assert refused.is_failed()
    assert "no value for 'why'" in str(refused.result(raise_on_failure=False))
    done = review("air-quality", version, "approve", why="checked on May", **of_sample)
    assert (done["action"], done["champion_after"], done["by"]) == ("approved", version, "Ann")
    shown: Any = Artifact.get("air-quality-decisions")
    assert "checked on May" in str(shown.data)
    assert "Ann" in str(shown.data)
    back = rollback("air-quality", why="wrong units", **of_sample)
    assert (back["champion_after"], back["by"]) == (1, "Ann")
