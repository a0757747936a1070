"""A model that is a class: each stage counts the members that it uses, with all that these use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from tests.support.projects import forget, use_project

MODEL = '''"""A model."""
import regrow
from . import helpers, unused_helpers

UNITS = 8


def first_layer(inputs):
    import keras
    return keras.layers.Dense(UNITS)(helpers.squash(inputs.features))


class Mine(regrow.Model):
    """A model."""
    title = "a model"
    data = regrow.csv("data.csv")
    table = regrow.columns(target="y", numbers=["x"])
    expectations = [regrow.expect("column_values_to_be_between", "so", column="x", min_value=0)]
    gate = regrow.Gate(metric="rmse", margin=0.01)
    note = "no stage uses this"

    class Config(regrow.TrainingConfig):
        units: int = 3

        @property
        def twice(self) -> int:
            return 2 * self.units

    def clean(self, frame):
        return frame.assign(x=unused_helpers.rescale(frame["x"]))

    def network(self, inputs, config):
        import keras
        return keras.Model(inputs.features, inputs.head(first_layer(inputs)))
'''
STAGES = ("clean", "validate", "train", "evaluate", "publish")
# What is replaced in model.py, and the stages of which the fingerprint must change.
EDITS = {
    "a comment": ('"""A model."""', '"""Our model."""  # better', ()),
    "the title": ('"a model"', '"our model"', ("publish",)),
    "a member that nothing uses": ("no stage uses this", "nothing", ("publish",)),
    "an expectation": ("min_value=0", "min_value=-1", ("validate", "publish")),
    "the gate": ("margin=0.01", "margin=0.02", ("evaluate", "publish")),
    "the network": ("Dense(UNITS)", "Dense(UNITS + 1)", ("train", "publish")),
    "a constant that the network uses": ("UNITS = 8", "UNITS = 9", ("train", "publish")),
    "the cleaning": ("frame.assign(x=", "frame.assign(x=1 + ", ("clean", "publish")),
    "a column": ('numbers=["x"]', 'numbers=["z"]', STAGES),
    "what always runs": ("UNITS = 8", "UNITS = 8\nprint(UNITS)", STAGES),
    "a base class": ("class Mine(regrow.Model)", "class Mine(regrow.Model, object)", STAGES),
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project with one model and two helpers."""
    with use_project(tmp_path, "mine"):
        (tmp_path / "mine" / "__init__.py").write_text("")
        (tmp_path / "mine" / "model.py").write_text(MODEL)
        (tmp_path / "mine" / "helpers.py").write_text("def squash(x):\n    return x\n")
        (tmp_path / "mine" / "unused_helpers.py").write_text("def rescale(x):\n    return x / 2\n")
        yield tmp_path


def fingerprints(project: Path) -> dict[str, dict[str, str]]:
    """By stage, the code that counts."""
    forget("mine")
    spec = get_spec("mine")
    pipeline = Pipeline(spec, make_request(spec), read_environment())
    (project / "data.csv").write_text("x,y\n1,2\n")
    inputs = dict.fromkeys(("download", "clean", "validate", "train", "evaluate"), "")
    found = {}
    for stage in STAGES:
        parts = pipeline.components(stage, inputs)  # type: ignore[arg-type]
        found[stage] = {f"{part} {key}": str(v) for part in parts for key, v in parts[part].items()}
    return found


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_counts_where_it_can_change_a_result(project: Path, edit: str) -> None:
    old, new, expected = EDITS[edit]
    before = fingerprints(project)
    assert old in MODEL
    (project / "mine" / "model.py").write_text(MODEL.replace(old, new, 1))
    after = fingerprints(project)
    assert [stage for stage in STAGES if before[stage] != after[stage]] == list(expected)


def test_a_helper_counts_only_for_the_members_that_import_it(project: Path) -> None:
    before = fingerprints(project)
    (project / "mine" / "helpers.py").write_text("def squash(x):\n    return x / 2\n")
    after = fingerprints(project)
    assert [s for s in STAGES if before[s] != after[s]] == ["train", "publish"]


@pytest.mark.parametrize(
    "line",
    ["globals()['UNITS']", "getattr(self, config.which)", "self.__dict__['x']", "vars(self)"],
)
def test_where_use_cannot_be_followed_the_whole_module_counts(project: Path, line: str) -> None:
    text = MODEL.replace(
        "        import keras\n        return keras.Model",
        f"        {line}\n        import keras\n        return keras.Model",
    )
    (project / "mine" / "model.py").write_text(text)
    before = fingerprints(project)
    (project / "mine" / "model.py").write_text(text.replace("no stage uses this", "nothing"))
    after = fingerprints(project)
    assert before["train"] != after["train"]
    assert before["clean"] == after["clean"]


def test_a_member_that_is_read_by_its_name_counts(project: Path) -> None:
    line = "        getattr(self, 'note')\n        import keras\n        return keras.Model"
    text = MODEL.replace("        import keras\n        return keras.Model", line)
    (project / "mine" / "model.py").write_text(text)
    before = fingerprints(project)
    (project / "mine" / "model.py").write_text(text.replace("no stage uses this", "nothing"))
    after = fingerprints(project)
    assert [s for s in STAGES if before[s] != after[s]] == ["train", "publish"]


def test_an_import_of_everything_makes_the_whole_module_count(project: Path) -> None:
    text = MODEL.replace("UNITS = 8", "from .helpers import *\nUNITS = 8")
    (project / "mine" / "model.py").write_text(text)
    before = fingerprints(project)
    (project / "mine" / "model.py").write_text(text.replace("no stage uses this", "nothing"))
    assert before["train"] != fingerprints(project)["train"]


def test_a_stage_cannot_use_a_member_that_is_not_in_its_fingerprint(project: Path) -> None:
    from regrow.tabular.stages import Members

    get_spec("mine")
    model = sys.modules["mine.model"].Mine()
    assert Members(model, "train").split
    with pytest.raises(AttributeError, match="does not declare the member 'expectations'"):
        _ = Members(model, "train").expectations


def test_the_code_that_defaults_run_counts(project: Path) -> None:
    """Without a network of its own, a model trains with that of regrow."""
    text = MODEL[: MODEL.index("    def network")]
    (project / "mine" / "model.py").write_text(text)
    train = fingerprints(project)["train"]
    assert "code regrow.tabular.inputs" in train
    assert "code Model.network" in train
    assert "code Model.optimizer" in train
    assert "libraries keras" in train
    assert "code mine.model" not in train
    assert not any("regrow.cli" in name for name in train)
    # Of the reports only the form of what a training hands on.
    reports = {name for name in train if "regrow.report" in name}
    assert reports <= {"code regrow.report", "code regrow.report.history"}
