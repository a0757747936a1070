"""The models that make pictures by their commands: six stages, dream, stylize, bad input."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from regrow.base.errors import DataError, SourceError, UserError
from regrow.base.files import WRITING
from regrow.base.settings import read_environment
from regrow.cli.pictures import build_config, need_output, parse_weighted, read_photo
from regrow.models.deep_dream.network import train as dream_train
from regrow.models.style_transfer.network import train as style_train
from regrow.operations.weights import obtain_weights
from regrow.store.entry import Entry
from regrow.vision.animation import check_ffmpeg
from tests.conftest import Regrow
from tests.support.commands import REGROW, Launcher, list_files, own_environment
from tests.support.stages import make_context, make_entry
from tests.vision.test_vision import NOTOP, draw

TINY = {
    "deep-dream": ["size=64", "steps=2", "octaves=2", "zoom_frames=2", "preview_every=1"],
    "style-transfer": ["size=64", "steps=3", "scales=2", "preview_every=1"],
}


def tiny(model: str) -> list[str]:
    return [part for pair in TINY[model] for part in ("--set", pair)]


@pytest.mark.slow
@pytest.mark.parametrize("model", TINY)
def test_the_six_stages_without_network_or_mirror(model: str, regrow: Regrow) -> None:
    command = ["run", model, "--preset", "untrained", "--or-sample", *tiny(model)]
    done = regrow(*command, "--no-prefect", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["stages"]) == 6
    assert summary["decision"]["action"] == "first"
    page = Path(summary["report"]).read_text()
    assert "has never seen a picture" in page
    assert "per step" in page
    assert "data:image/jpeg" in page
    assert ("data:image/webp" in page) == (model == "deep-dream")

    scope = summary["registered_name"].partition(".")[2]
    refused = regrow("predict", model, summary["report"], "--scope", scope)
    assert refused.returncode == 2
    assert ("regrow dream" if model == "deep-dream" else "regrow stylize") in refused.stderr


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.e2e
def test_more_steps_are_better_on_the_same_photos_and_wait_for_a_person(
    regrow: Regrow, mirror: Path, tmp_path: Path
) -> None:
    """With real weights, on a zip of a person's own pictures."""
    packed = tmp_path / "holiday.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("photo_cat_chelsea.png", "photo_coffee.png"):
            archive.write(mirror / "images" / name, name)
    decisions = []
    for steps in (1, 6):
        done = regrow(
            *("run", "deep-dream", "--preset", "quick", "--source", f"photo={packed}"),
            *("--set", "size=96", "--set", f"steps={steps}", "--set", "zoom_frames=0"),
            *("--no-prefect", "--json"),
            env={"REGROW_MIRROR": str(mirror)},
        )
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert len(summary["tables"][0]["rows"]) == 2
        decisions.append(summary["decision"])
        scope = summary["registered_name"].partition(".")[2]
        version = str(summary["version"])
        approved = regrow("approve", "deep-dream", version, "--scope", scope, "--why", "seen")
        assert approved.returncode == 0, approved.stderr
    assert [decision["action"] for decision in decisions] == ["held", "held"]
    assert [decision["champion_before"] for decision in decisions] == [None, 1]
    assert decisions[1]["challenger"] > decisions[1]["champion"]


@pytest.mark.slow
def test_dream_and_stylize_write_whole_pictures(regrow: Regrow, tmp_path: Path) -> None:
    draw(size=(120, 90)).save(tmp_path / "photo.jpg")
    draw(size=(90, 120)).rotate(90).save(tmp_path / "style.png")
    options = ["--weights", "random", "--steps", "2", "--preview", "1", "--json"]
    dream = ["--octaves", "2", "--layer", "conv_pw_3_relu=0.5", "--zoom", "zoom.gif"]
    done = regrow("dream", "photo.jpg", "-o", "d.png", *dream, "--frames", "2", *options)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["width"], facts["height"], facts["steps"]) == (120, 90, 4)
    done = regrow("stylize", "photo.jpg", "style.png", "-o", "s.jpg", "--scales", "1", *options)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "s.jpg") as made:
        assert made.size == (120, 90)
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    made_files = {"d.png", "d-sheet.jpg", "zoom.gif", "s.jpg", "s-sheet.jpg"}
    assert names == {"photo.jpg", "style.png", *made_files}
    assert not [path for path in (tmp_path / "home" / "scratch").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_the_pipeline_takes_several_styles_with_masks(regrow: Regrow, tmp_path: Path) -> None:
    draw(size=(96, 64)).save(tmp_path / "photo.png")
    black, white = (Image.new("RGB", (48, 64), colour) for colour in ("black", "white"))
    for name, packed in {"styles": ("a.png", "b.png"), "masks": ("left.png", "right.png")}.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for number, member in enumerate(packed):
                if name == "styles":
                    picture = draw(size=(64, 64)).rotate(90 * number)
                else:
                    picture = Image.new("RGB", (96, 64))
                    for side, half in enumerate((white, black) if number == 0 else (black, white)):
                        picture.paste(half, (48 * side, 0))
                picture.save(tmp_path / member)
                archive.write(tmp_path / member, member)
    command = [
        *("run", "style-transfer", "--preset", "untrained", *tiny("style-transfer")),
        *("--source", "photo=photo.png", "--source", "style=styles.zip"),
        *("--set", "masks=true", "--no-prefect", "--json"),
    ]
    done = regrow(*command, "--source", "style-mask=masks.zip")
    assert done.returncode == 0, done.stderr
    (table,) = (tmp_path / "home").glob("store/style-transfer/clean/*/table.parquet")
    roles = pd.read_parquet(table)["role"].value_counts()
    assert dict(roles) == {"photo": 1, "style": 2, "mask": 2}

    refused = regrow(*command, "--source", "style-mask=left.png")
    assert refused.returncode == 2
    assert "1 masks for 2 styles" in refused.stderr
    missing = regrow(*command)
    assert missing.returncode == 2
    assert "style-mask" in missing.stderr


def kill_at_checkpoint(launcher: Launcher, folder: Path, *command: str) -> None:
    """Starts a command and kills it, unasked and unwarned, once it has left a checkpoint."""
    process = launcher.start(*REGROW, *command, env=own_environment(folder), cwd=folder)
    try:
        end = time.monotonic() + 300
        while not any(
            path.suffix == ".npz" and not path.name.startswith(WRITING)
            for path in list_files(folder / "home" / "scratch")
        ):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.005)
    finally:
        process.kill()


@pytest.mark.slow
@pytest.mark.e2e
def test_a_killed_command_goes_on_to_the_same_picture(
    regrow: Regrow, launcher: Launcher, tmp_path: Path
) -> None:
    draw(size=(160, 160)).save(tmp_path / "photo.png")
    draw(size=(160, 160)).rotate(90).save(tmp_path / "style.png")
    # Long enough to be killed in the middle.
    options = ["--weights", "random", "--scales", "1", "--steps", "400"]
    command = ["stylize", "photo.png", "style.png", *options, "--json", "-o"]
    kill_at_checkpoint(launcher, tmp_path, *command, "killed.png")
    assert not (tmp_path / "killed.png").exists()
    done = regrow(*command, "killed.png")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resumed_at_step"] > 0
    whole = regrow(*command, "whole.png")
    assert json.loads(whole.stdout)["resumed_at_step"] is None
    assert (tmp_path / "killed.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert not list((tmp_path / "home" / "scratch").rglob("*"))


@pytest.mark.slow
@pytest.mark.e2e
def test_a_killed_stage_goes_on_where_it_was(
    regrow: Regrow, launcher: Launcher, tmp_path: Path
) -> None:
    settings = [*tiny("deep-dream")[:2], "--set", "steps=150", "--set", "zoom_frames=0"]
    command = ["run", "deep-dream", "--preset", "untrained", *settings, "--no-prefect"]
    kill_at_checkpoint(launcher, tmp_path, *command, "--json")
    done = regrow(*command, "--json")
    assert done.returncode == 0, done.stderr
    (history,) = (tmp_path / "home").glob("store/deep-dream/train/*/history.json")
    assert any(run["resumed_from"] > 0 for run in json.loads(history.read_text()))
    assert not list((tmp_path / "home" / "scratch").rglob("*"))


@pytest.mark.slow
def test_bad_input_ends_in_one_message_and_changes_nothing(regrow: Regrow, tmp_path: Path) -> None:
    draw().save(tmp_path / "photo.jpg")
    kept = np.zeros((40, 40, 3), "uint8")
    Image.fromarray(kept).save(tmp_path / "out.png")
    before = (tmp_path / "out.png").read_bytes()
    (tmp_path / "text.jpg").write_text("no picture")
    options = ["-o", "out.png", "--weights", "random", "--steps", "1"]
    cases: list[tuple[list[str], str]] = [
        (["dream", "text.jpg", *options], "text.jpg"),
        (["dream", "photo.jpg", *options, "--layer", "conv_pw_3_rel"], "conv_pw_3_relu"),
        (["stylize", "photo.jpg", "gone.jpg", *options], "gone.jpg"),
    ]
    for command, named in cases:
        refused = regrow(*command)
        assert refused.returncode == 2, refused.stderr
        assert named in refused.stderr
        assert "Traceback" not in refused.stderr
    assert (tmp_path / "out.png").read_bytes() == before
    assert not (tmp_path / "out-sheet.jpg").exists()


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    draw().save(tmp_path / "photo.jpg")
    refused: list[tuple[Any, str]] = [
        (lambda: parse_weighted(["conv1=much"], "--layer"), "the weight must be a number"),
        (lambda: need_output(None), "the output file is missing"),
        (lambda: need_output(tmp_path / "out.doc"), "file extension"),
        (lambda: need_output(tmp_path / "gone" / "out.png"), "cannot be written"),
        (lambda: read_photo(tmp_path / "gone.jpg", "photo"), "no such photo"),
        (lambda: build_config("deep-dream", None, {"backbone": "vgg99"}, []), "not valid"),
        (lambda: build_config("style-transfer", None, {}, ["steps=0"]), "not valid"),
        (lambda: build_config("deep-dream", "worst", {}, []), "no preset"),
    ]
    if shutil.which("ffmpeg") is None:
        refused.append((lambda: check_ffmpeg(tmp_path / "zoom.mp4"), "ffmpeg"))
    for call, message in refused:
        with pytest.raises(UserError, match=message):
            call()
    assert parse_weighted(["a", "b=0.5"], "--layer") == {"a": 1.0, "b": 0.5}
    assert parse_weighted([], "--layer") is None


def test_weights_come_from_where_they_were_asked_for(tmp_path: Path) -> None:
    environment = {"REGROW_HOME": str(tmp_path / "home")}
    nowhere = read_environment(environment)
    assert obtain_weights("mobilenet", "random", nowhere) is None
    with pytest.raises(UserError, match="the weights file does not exist"):
        obtain_weights("mobilenet", "gone.h5", nowhere)
    for backbone in ("mobilenet", "vgg16"):  # never silently random
        with pytest.raises(SourceError) as raised:
            obtain_weights(backbone, "imagenet", nowhere)
        assert "--weights FILE" in str(raised.value)
        assert "--weights random" in str(raised.value)
    wrong = tmp_path / "mirror" / NOTOP
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"other bytes")
    mirrored = read_environment({**environment, "REGROW_MIRROR": str(tmp_path / "mirror")})
    with pytest.raises(SourceError) as raised:
        obtain_weights("mobilenet", "imagenet", mirrored)
    assert "expected sha256 71750134" in str(raised.value)


@pytest.mark.slow
def test_layers_are_listed(regrow: Regrow) -> None:
    done = regrow("dream", "--layers", "--backbone", "vgg16", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["layer"]: row for row in json.loads(done.stdout)["layers"]}
    assert (rows["block4_pool"]["height"], rows["block4_pool"]["channels"]) == (14, 512)


def make_clean(folder: Path, sizes: dict[str, tuple[int, int]]) -> Entry:
    """A manifest of pictures by their roles."""
    folder.mkdir()
    rows = []
    for role, size in sizes.items():
        Image.new("RGB", size).save(folder / f"{role}.png")
        rows.append({"name": f"{role}-1", "role": role, "sha256": "", "path": f"{role}.png"})
    pd.DataFrame(rows).to_parquet(folder / "table.parquet")
    return make_entry(folder, origins={f"{role}-1": f"my {role}" for role in sizes})


@pytest.mark.parametrize(
    ("model", "narrow"),
    [
        ("deep-dream", "photo"),
        ("deep-dream", "guide"),
        ("style-transfer", "photo"),
        ("style-transfer", "style"),
    ],
)
def test_a_panorama_is_refused_before_a_stage_trains(
    tmp_path: Path, model: str, narrow: str
) -> None:
    other = "guide" if model == "deep-dream" else "style"
    sizes = {"photo": (64, 64), other: (64, 64), narrow: (20_000, 32)}
    changes = {"size": 64} | ({"guided": True} if model == "deep-dream" else {})
    config = build_config(model, "untrained", changes, [])
    context = make_context(config, tmp_path / "out", clean=make_clean(tmp_path / "clean", sizes))
    train = dream_train if model == "deep-dream" else style_train
    with pytest.raises(DataError, match="too narrow") as raised:
        train(context)
    assert raised.value.where == f"my {narrow}"


@pytest.mark.slow
@pytest.mark.e2e
def test_commands_refuse_a_panorama(regrow: Regrow, tmp_path: Path) -> None:
    draw().save(tmp_path / "photo.png")
    Image.new("RGB", (20_000, 32)).save(tmp_path / "pan.png")
    options = ["-o", "out.png", "--weights", "random", "--steps", "1"]
    for command in (
        ["dream", "pan.png"],
        ["dream", "photo.png", "--guide", "pan.png"],
        ["stylize", "pan.png", "photo.png"],
        ["stylize", "photo.png", "pan.png"],
    ):
        refused = regrow(*command, *options)
        assert refused.returncode == 2, refused.stderr
        assert "too narrow" in refused.stderr
        assert "pan.png" in refused.stderr
