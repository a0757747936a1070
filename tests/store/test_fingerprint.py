"""What a fingerprint promises: everything that can change a result counts, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from regrow.base.digests import digest_json
from regrow.base.errors import UserError
from regrow.base.keras_settings import KerasSettings, read_keras_settings
from regrow.base.project import get_spec, list_models
from regrow.base.project_file import PACKAGE_DIR
from regrow.base.settings import read_environment
from regrow.pipeline import components
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.stages import STAGES, Stage
from regrow.store import fingerprint
from regrow.store.code import Codebase
from regrow.store.fingerprint import Components, collect, explain
from regrow.store.module import digest_source

CODE = '''
"""A module."""
import numpy as np

def double(x: float) -> float:
    """Doubles."""
    return 2 * x  # twice
'''
# Below the package `mine`: train.py imports network.py, evaluate.py both.
SMALL = {
    "__init__.py": "",
    "loop.py": "import keras\n\ndef fit():\n    return 1\n",
    "spec.py": "SETTINGS = {'epochs': 3}\n",
    "network.py": "from . import loop\n\ndef build():\n    return loop.fit()\n",
    "train.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from mine.spec import SETTINGS\n"
        "def train():\n    from mine import network\n    return network.build()\n"
    ),
    "evaluate.py": "import sklearn.metrics\nfrom mine import network\n",
}
USING = {"train", "evaluate", "publish"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in SMALL.items():
        write(tmp_path / "mine" / name, text)
    return tmp_path / "mine"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def of(package: Path, module: str = "mine.train", **more: Any) -> Components:
    known: dict[str, Any] = {"config": {"epochs": 3}, "inputs": {"clean": "aa"}}
    packages = {"mine": package, "regrow": PACKAGE_DIR}
    return collect([module], codebase=Codebase(packages), **{**known, **more})


def code_of(package: Path, text: str) -> set[str]:
    """The modules and files behind a module with this text, apart from itself and its package."""
    write(package / "root.py", text)
    return of(package, "mine.root")["code"].keys() - {"mine", "mine.root"}


def test_comments_docstrings_and_layout_do_not_count() -> None:
    other = CODE.replace("# twice", "# two times").replace("Doubles.", "Returns 2 x.\n\n    More.")
    other = other.replace("2 * x", "(2   *   x)").replace('"""A module."""', "")
    assert digest_source(other) == digest_source(CODE)


def test_code_counts() -> None:
    assert digest_source(CODE.replace("2 * x", "3 * x")) != digest_source(CODE)


def test_modules_are_followed_wherever_they_are_imported(package: Path) -> None:
    assert {"mine.train", "mine.network", "mine.loop"} <= of(package)["code"].keys()


def test_evaluate_and_spec_do_not_touch_training(package: Path) -> None:
    before = of(package)
    write(package / "evaluate.py", "NEW = 1\n")
    write(package / "spec.py", "SETTINGS = {'epochs': 99}\n")
    assert of(package) == before


@pytest.mark.parametrize("name", ["train", "network", "loop"])
def test_code_behind_training_touches_it(package: Path, name: str) -> None:
    before = of(package)
    path = package / f"{name}.py"
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    after = of(package)
    assert digest_json(after) != digest_json(before)
    assert [line.split(" changed")[0] for line in explain(before, after)] == [
        f"code of mine.{name}"
    ]


def test_a_comment_behind_training_does_not_touch_it(package: Path) -> None:
    before = of(package)
    path = package / "network.py"
    path.write_text('"""Now with a docstring."""\n' + path.read_text() + "# and a comment\n")
    assert of(package) == before


@pytest.mark.parametrize(
    "text",
    [
        "import typing\nif typing.TYPE_CHECKING:\n    pass\nelse:\n    import mine.loop\n",
        "import importlib\nimportlib.import_module('mine.loop')\n",
        "from importlib import import_module\nimport_module('.loop', 'mine')\n",
        "__import__('mine.loop')\n",
        "from regrow.base.spec import load\nload('mine.loop:fit')\n",
        "import mine\ngetattr(mine, 'loop')\n",
        "import mine\nmine.loop.fit()\n",
        "from mine import (\n    loop as other,\n)\n",
        "def f():\n    if True:\n        from .loop import fit\n",
    ],
)
def test_every_form_of_an_import_is_followed(package: Path, text: str) -> None:
    assert code_of(package, text) == {"mine.loop"}


def test_a_package_comes_before_a_module_of_its_name(package: Path) -> None:
    write(package / "both.py", "A = 1\n")
    write(package / "both" / "__init__.py", "A = 2\n")
    before = of(package, "mine.both")
    write(package / "both.py", "A = 3\n")
    assert of(package, "mine.both") == before
    write(package / "both" / "__init__.py", "A = 4\n")
    assert of(package, "mine.both") != before


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("import importlib\nimportlib.import_module(NAME)\n", "importlib.import_module()"),
        ("import mine\ngetattr(mine, NAME)\n", "getattr(mine"),
        ("exec('import mine.loop')\n", "exec()"),
        ("from regrow.base.spec import load\nload(NAME)\n", "load()"),
        ("from regrow import *\n", "from regrow import *"),
    ],
)
def test_what_cannot_be_followed_is_refused_unless_it_is_declared(
    package: Path, text: str, received: str
) -> None:
    write(package / "root.py", f"NAME = 'x'\n{text}")
    with pytest.raises(UserError) as error:
        of(package, "mine.root")
    assert f"root.py:{1 + text.count(chr(10))}" in str(error.value.where)
    assert received in str(error.value.received)
    if "*" not in text:
        assert of(package, "mine.root", declared=True)["code"].keys() >= {"mine.root"}


def test_code_outside_the_declared_packages_is_an_error(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="not in a declared package"):
        of(package, "some_package_outside_regrow")
    with pytest.raises(UserError, match="not in a declared package"):
        of(package, "mine.missing")
    write(tmp_path / "elsewhere" / "helper_of_mine.py", "A = 1\n")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    write(package / "root.py", "import helper_of_mine\n")
    with pytest.raises(UserError) as error:
        of(package, "mine.root")
    assert "root.py:1" in str(error.value.where)
    assert "regrow.toml" in str(error.value)


def test_data_files_of_a_package_count_where_a_module_reads_them(package: Path) -> None:
    write(package / "words.txt", "one")
    write(
        package / "root.py", "from pathlib import Path\nW = Path(__file__).with_name('words.txt')\n"
    )
    before = of(package, "mine.root")
    assert "mine/words.txt" in before["code"]
    write(package / "words.txt", "two")
    assert explain(before, of(package, "mine.root"))[0].startswith("code of mine/words.txt changed")
    untouched = of(package)
    write(package / "words.txt", "three")
    assert of(package) == untouched


def test_library_versions_count_where_the_library_is_used(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of(package)
    assert set(before["libraries"]) == {"python", "keras", "h5py", "tensorflow"}
    real = fingerprint.library_version
    monkeypatch.setattr(
        fingerprint, "library_version", lambda name: "99.0" if name == "keras" else real(name)
    )
    assert explain(before, of(package)) == [
        f"library keras changed: {before['libraries']['keras']} -> 99.0"
    ]


def test_only_the_backend_in_use_counts(package: Path) -> None:
    write(
        package / "loop.py",
        "import keras\ndef fit():\n    import torch\n    import jax\n    import tensorflow\n",
    )
    expected = {"tensorflow": {"tensorflow"}, "jax": {"jax", "jaxlib"}, "torch": {"torch"}}
    for backend, names in expected.items():
        libraries = of(package, keras=KerasSettings(backend=backend))["libraries"]
        assert libraries.keys() - {"python", "keras", "h5py"} == names
    write(package / "loop.py", "import keras\nimport torch\n")
    assert "torch" in of(package)["libraries"]


@pytest.mark.parametrize(
    "change", [{"backend": "jax"}, {"floatx": "float64"}, {"epsilon": 1e-5}], ids=str
)
def test_settings_of_keras_count_where_keras_is_used(package: Path, change: dict[str, Any]) -> None:
    before, after = of(package), of(package, keras=KerasSettings(**change))
    [name] = change
    assert any(
        line.startswith(f"Keras's setting {name} changed") for line in explain(before, after)
    )
    write(package / "plain.py", "A = 1\n")
    assert of(package, "mine.plain") == of(package, "mine.plain", keras=KerasSettings(**change))


def test_a_variable_by_which_a_backend_computes_otherwise_counts(package: Path) -> None:
    environment = {"KERAS_HOME": str(package), "KERAS_BACKEND": "tensorflow"}
    before = of(package, keras=read_keras_settings(environment))
    set_here = read_keras_settings({**environment, "TF_ENABLE_ONEDNN_OPTS": "0"})
    [line] = explain(before, of(package, keras=set_here))
    assert line.startswith("Keras's setting TF_ENABLE_ONEDNN_OPTS")
    unset = read_keras_settings({**environment, "TF_CPP_MIN_LOG_LEVEL": "0", "XLA_FLAGS": ""})
    assert of(package, keras=unset) == before


def test_settings_inputs_files_and_specification_count(package: Path, tmp_path: Path) -> None:
    changed = of(
        package,
        config={"epochs": 4},
        inputs={"clean": "bb"},
        specification={"function": "mine.train:other"},
    )
    assert explain(of(package), changed) == [
        "specification function is new",
        "setting epochs changed: 3 -> 4",
        "input clean changed: aa -> bb",
    ]
    template = tmp_path / "page.j2"
    template.write_text("one")
    first = of(package, files={"page.j2": template})
    template.write_text("two")
    assert explain(first, of(package, files={"page.j2": template}))[0].startswith(
        "code of page.j2 changed"
    )


# --- The real package, edited ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real package, to edit."""
    copy = tmp_path_factory.mktemp("package") / "regrow"
    shutil.copytree(PACKAGE_DIR, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(autouse=True)
def _reading_the_copy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real" in request.fixturenames:
        copy = request.getfixturevalue("real")
        monkeypatch.setattr(components, "list_packages", lambda: {"regrow": copy})
        monkeypatch.setattr(components, "PACKAGE_DIR", copy)


def fingerprints(home: Path, model: str = "air-quality") -> dict[Stage, str]:
    """Of every stage, with inputs that do not change; nothing is fetched for the sample."""
    spec = get_spec(model)
    asked = Pipeline(
        spec, make_request(spec, data="sample"), read_environment({"REGROW_HOME": str(home)})
    )
    digests: dict[Stage, str] = dict.fromkeys(STAGES, "digest")
    return {stage: digest_json(asked.components(stage, digests)) for stage in STAGES}


def touched(home: Path, path: Path, text: str, *models: str) -> dict[str, set[Stage]]:
    """By model, the stages whose fingerprints move when `text` is added to a file."""
    before = {model: fingerprints(home, model) for model in models}
    content = path.read_text()
    path.write_text(content + text)
    try:
        after = {model: fingerprints(home, model) for model in models}
    finally:
        path.write_text(content)
    return {m: {s for s in STAGES if after[m][s] != before[m][s]} for m in models}


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        ("models/air_quality/evaluate.py", {"evaluate"}),
        ("models/air_quality/network.py", {"train"}),
        ("models/air_quality/reader.py", {"clean", "validate"}),
        ("models/air_quality/expectations.py", {"validate"}),
        ("models/air_quality/score.py", {"evaluate", "publish"}),
        ("models/air_quality/spec.py", set()),
        ("layers/tabular.py", USING),
        ("training/fit.py", {"train"}),
        ("sources/http.py", {"download"}),
        ("registry/gate.py", {"publish"}),
        ("report/templates/report.html.j2", {"validate", "publish"}),
    ],
)
def test_an_edit_of_the_real_code_touches_the_stages_behind_it(
    real: Path, tmp_path: Path, edited: str, expected: set[str]
) -> None:
    path = real / edited
    if path.suffix == ".py":
        assert not touched(tmp_path, path, "\n# a comment\n", "air-quality")["air-quality"]
    assert touched(tmp_path, path, "\nEDITED = True\n", "air-quality")["air-quality"] == expected


def plumbing() -> list[str]:
    """Every module that cannot change what a training produces."""
    root = PACKAGE_DIR
    rooms = ("base", "store", "cli", "operations", "pipeline", "registry", "sources")
    paths = [path for room in rooms for path in (root / room).glob("*.py")]
    others = ["checks/expectations.py", "checks/validation.py", "checks/drift.py", "__init__.py"]
    others += ["layers/run_layer.py", "layers/__init__.py", "report/html.py", "report/card.py"]
    return sorted([*(path.relative_to(root).as_posix() for path in paths), *others])


def test_plumbing_touches_no_training(real: Path, tmp_path: Path) -> None:
    models = list_models()
    before = {model: fingerprints(tmp_path, model)["train"] for model in models}
    for name in plumbing():
        path = real / name
        path.write_text(path.read_text() + "\nEDITED = True\n")
    try:
        after = {model: fingerprints(tmp_path, model)["train"] for model in models}
    finally:
        for name in plumbing():
            shutil.copy(PACKAGE_DIR / name, real / name)
    assert after == before


def test_a_reworded_expectation_touches_validation_alone(real: Path, tmp_path: Path) -> None:
    for model in list_models():
        module = get_spec(model).stages["validate"].run.partition(":")[0]
        path = real.joinpath(*module.split(".")[1:]).with_suffix(".py")
        found = touched(tmp_path, path, "\nREWORDED = True\n", model)[model]
        assert found == {"validate"}, model


def test_only_what_is_used_is_in_the_fingerprints_of_trainings(tmp_path: Path) -> None:
    unused = {"torch", "jax", "jaxlib", "pydantic", "filelock", "great_expectations", "mlflow"}
    for model in list_models():
        spec = get_spec(model)
        asked = Pipeline(spec, make_request(spec), read_environment({"REGROW_HOME": str(tmp_path)}))
        found = asked.components("train", dict.fromkeys(STAGES, "digest"))
        assert not unused & found["libraries"].keys(), model
        assert found["keras"]["backend"] == "tensorflow"


def test_a_name_from_regrow_counts_as_the_module_that_defines_it(package: Path) -> None:
    behind = code_of(package, "from regrow import fit, ModelSpec\n")
    assert "regrow.training.fit" in behind
    assert not [n for n in behind if n == "regrow" or n.startswith(("regrow.base", "regrow.cli"))]
    assert behind == code_of(package, "import regrow\nregrow.fit\nregrow.ModelSpec\n")
    assert code_of(package, "from regrow.layers import Squared\n") == {"regrow.layers.squared"}


@pytest.mark.parametrize("room", ["cli/app.py", "report/html.py", "operations/predict.py"])
def test_a_model_that_imports_from_regrow_ignores_the_rest(
    package: Path, real: Path, room: str
) -> None:
    write(package / "root.py", "from regrow import FitPlan, fit, run_trainings\n")
    codebase = Codebase({"mine": package, "regrow": real})
    before = collect(["mine.root"], codebase=codebase, config={}, inputs={})
    path = real / room
    content = path.read_text()
    path.write_text(content + "\nEDITED = True\n")
    assert collect(["mine.root"], codebase=codebase, config={}, inputs={}) == before
    path.write_text(content)
    path = real / "training/seeds.py"
    content = path.read_text()
    path.write_text(content + "\nEDITED = True\n")
    assert collect(["mine.root"], codebase=codebase, config={}, inputs={}) != before
    path.write_text(content)


def replace_in(path: Path, old: str, new: str) -> str:
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    return content


@pytest.mark.parametrize(
    ("model", "old", "new", "expected"),
    [
        # The usual layer of the backbone in use, which a property reads.
        ("deep_dream", '"conv_pw_11_relu": 1.0', '"conv_pw_10_relu": 1.0', USING),
        ("deep_dream", "if weight}", "if weight > 0}", USING),
        # What no stage reads through the settings.
        ("deep_dream", 'f"block{n}_pool": 1.0', 'f"block{n}_pool": 2.0', set()),
        (
            "deep_dream",
            "guided and channel cannot be combined",
            "only one of guided and channel",
            set(),
        ),
    ],
)
def test_derived_settings_count_by_their_code(
    real: Path, tmp_path: Path, model: str, old: str, new: str, expected: set[str]
) -> None:
    name = model.replace("_", "-")
    before = fingerprints(tmp_path, name)
    path = real / "models" / model / "spec.py"
    content = replace_in(path, old, new)
    after = fingerprints(tmp_path, name)
    path.write_text(content)
    assert {stage for stage in STAGES if after[stage] != before[stage]} == expected


def test_a_library_of_the_real_code_touches_the_stages_that_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprints(tmp_path)
    version = fingerprint.library_version
    monkeypatch.setattr(
        fingerprint, "library_version", lambda name: "9" if name == "sklearn" else version(name)
    )
    after = fingerprints(tmp_path)
    assert {stage for stage in STAGES if after[stage] != before[stage]} == {"evaluate"}
