from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regrow.engine import fingerprint, pipeline
from regrow.engine.config import make_request, read_environment
from regrow.engine.fingerprint import collect, digest_json, digest_source, explain
from regrow.engine.pipeline import STAGES, Pipeline, Stage
from regrow.models import get_spec

CODE = '''
"""A module."""
import numpy as np

def double(x: float) -> float:
    """Doubles."""
    return 2 * x  # twice
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small `regrow` of its own: model/train.py imports model/network.py, evaluate.py both."""
    files = {
        "__init__.py": "",
        "engine/__init__.py": "",
        "engine/loop.py": "import keras\n\ndef fit():\n    return 1\n",
        "model/__init__.py": "",
        "model/spec.py": "SETTINGS = {'epochs': 3}\n",
        "model/network.py": "from ..engine import loop\n\ndef build():\n    return loop.fit()\n",
        "model/train.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from regrow.model.spec import SETTINGS\n"
            "def train():\n    from regrow.model import network\n    return network.build()\n"
        ),
        "model/evaluate.py": "import sklearn.metrics\nfrom regrow.model import network\n",
    }
    for name, text in files.items():
        path = tmp_path / "regrow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(fingerprint, "PACKAGE_DIR", tmp_path / "regrow")
    return tmp_path / "regrow"


def of_train() -> fingerprint.Components:
    return collect(["regrow.model.train"], config={"epochs": 3}, inputs={"clean": "aa"})


def test_comments_docstrings_and_layout_do_not_count() -> None:
    other = CODE.replace("# twice", "# two times").replace("Doubles.", "Returns 2 x.\n\n    More.")
    other = other.replace("2 * x", "(2   *   x)").replace('"""A module."""', "")
    assert digest_source(other) == digest_source(CODE)


def test_code_counts() -> None:
    assert digest_source(CODE.replace("2 * x", "3 * x")) != digest_source(CODE)


def test_modules_are_followed_wherever_they_are_imported(package: Path) -> None:
    code = of_train()["code"]
    assert {"regrow.model.train", "regrow.model.network", "regrow.engine.loop"} <= code.keys()


def test_evaluate_and_spec_do_not_touch_training(package: Path) -> None:
    before = of_train()
    (package / "model/evaluate.py").write_text("NEW = 1\n")
    (package / "model/spec.py").write_text("SETTINGS = {'epochs': 99}\n")
    assert digest_json(of_train()) == digest_json(before)


@pytest.mark.parametrize("name", ["model/train.py", "model/network.py", "engine/loop.py"])
def test_code_behind_training_touches_it(package: Path, name: str) -> None:
    before = of_train()
    path = package / name
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    module = "regrow." + name.removesuffix(".py").replace("/", ".")
    assert digest_json(of_train()) != digest_json(before)
    assert [line.split(" changed")[0] for line in explain(before, of_train())] == [
        f"code of {module}"
    ]


def test_a_comment_behind_training_does_not_touch_it(package: Path) -> None:
    before = of_train()
    path = package / "model/network.py"
    path.write_text('"""Now with a docstring."""\n' + path.read_text() + "# and a comment\n")
    assert digest_json(of_train()) == digest_json(before)


def test_library_versions_count_where_the_library_is_used(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_train()
    assert set(before["libraries"]) == {"python", "keras", "tensorflow"}
    versions = {"keras": "99.0"}
    real = fingerprint.library_version
    monkeypatch.setattr(
        fingerprint, "library_version", lambda name: versions.get(name) or real(name)
    )
    after = of_train()
    assert digest_json(after) != digest_json(before)
    assert explain(before, after) == [
        f"library keras changed: {before['libraries']['keras']} -> 99.0"
    ]


def test_config_inputs_and_files_count(package: Path, tmp_path: Path) -> None:
    base = of_train()
    changed = collect(["regrow.model.train"], config={"epochs": 4}, inputs={"clean": "bb"})
    assert explain(base, changed) == [
        "setting epochs changed: 3 -> 4",
        "input clean changed: aa -> bb",
    ]
    template = package / "page.j2"
    template.write_text("one")
    first = collect([], config={}, inputs={}, files=[template])
    template.write_text("two")
    assert collect([], config={}, inputs={}, files=[template])["code"] != first["code"]


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the real package, to edit."""
    copy = tmp_path / "regrow"
    shutil.copytree(fingerprint.PACKAGE_DIR, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (fingerprint, pipeline):
        monkeypatch.setattr(module, "PACKAGE_DIR", copy)
    return copy


def fingerprints(home: Path) -> dict[str, str]:
    """Of every stage of air-quality, with inputs that do not change."""
    spec = get_spec("air-quality")
    settings = read_environment({"REGROW_HOME": str(home)})
    asked = Pipeline(spec, make_request(spec, data="sample"), settings)
    digests: dict[Stage, str] = dict.fromkeys(STAGES, "digest")
    return {s: digest_json(asked.components(s, digests, sample=True)) for s in STAGES}


@pytest.mark.parametrize(
    ("edited", "touched"),
    [
        ("models/air_quality/evaluate.py", {"evaluate"}),
        ("models/air_quality/network.py", {"train"}),
        ("models/air_quality/reader.py", {"clean", "validate"}),
        ("models/air_quality/spec.py", set()),
        ("engine/training.py", {"train"}),
        ("engine/download.py", {"download"}),
        ("engine/gate.py", {"publish"}),
        ("cli/app.py", set()),
    ],
)
def test_an_edit_of_the_real_code_touches_the_stages_behind_it(
    real: Path, tmp_path: Path, edited: str, touched: set[str]
) -> None:
    before = fingerprints(tmp_path)
    path = real / edited
    path.write_text(path.read_text() + "\n# a comment\n")
    assert fingerprints(tmp_path) == before
    path.write_text(path.read_text() + "\nEDITED = True\n")
    after = fingerprints(tmp_path)
    assert {stage for stage in STAGES if after[stage] != before[stage]} == touched


def test_a_library_of_the_real_code_touches_the_stages_that_use_it(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprints(tmp_path)
    version = fingerprint.library_version
    monkeypatch.setattr(
        fingerprint, "library_version", lambda name: "9" if name == "sklearn" else version(name)
    )
    after = fingerprints(tmp_path)
    assert {stage for stage in STAGES if after[stage] != before[stage]} == {"evaluate"}
