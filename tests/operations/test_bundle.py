"""Bundles: out of one home, into an empty one without network or mirror; damaged ones refused."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import DataError, UserError
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.operations.bundle_contents import BUNDLE
from regrow.operations.bundle_export import export_bundle
from regrow.operations.bundle_import import import_bundle, unpacked
from regrow.operations.predict import predict_files
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.runs import run_stages
from regrow.registry.champions import open_registry
from regrow.registry.names import ChampionRef
from regrow.registry.reviews import roll_back
from tests.conftest import SAMPLE, Regrow

pytestmark = pytest.mark.e2e
SPEC = get_spec("air-quality")
CONTENTS, CONTENTS_DIGEST = BUNDLE.listing_name, BUNDLE.digest_name
CHAMPION = ChampionRef("air-quality", sample=True)
NO_NETWORK = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}


def settings_of(home: Path, mirror: Path | None = None) -> Settings:
    return replace(
        read_environment({"REGROW_HOME": str(home)}), mirror=str(mirror) if mirror else None
    )


def train(settings: Settings, **request: Any) -> dict[str, Any]:
    pipeline = Pipeline(SPEC, make_request(SPEC, preset="quick", **request), settings)
    refs = run_stages(pipeline, lambda stage, inputs: pipeline.run_stage(stage, inputs, ignore))
    return dict(pipeline.entry(refs["publish"]).facts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("trained")
    train(settings_of(home), data="sample")
    return home


@pytest.fixture(scope="module")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "models.zip"
    made = export_bundle([SPEC], settings_of(trained), path, sources=True)
    assert made["champions"] == ["air-quality.sample version 1"]
    assert made["sources"] == []  # the sample comes with the code
    assert made["lock"]
    return path


def import_into(home: Path, path: Path, **more: Any) -> dict[str, Any]:
    return import_bundle(path, settings_of(home), **more)


def test_a_champion_answers_alike_in_an_empty_home(
    trained: Path, bundle: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    found = import_into(home, bundle)
    [champion] = found["champions"]
    assert (champion["version"], champion["action"]) == (1, "first")
    assert found["other_libraries"] == {}
    assert "tensorflow==" in (home / "bundle" / "packages.txt").read_text()
    assert "--hash" in Path(found["lock"]).read_text()
    answers = [predict_files(CHAMPION, settings_of(place), [SAMPLE]) for place in (trained, home)]
    assert answers[0].frame.equals(answers[1].frame)
    assert answers[0].used == answers[1].used
    assert answers[0].ranges == answers[1].ranges
    # All that a person looks for beside a version came along.
    registry = open_registry(CHAMPION, settings_of(home))
    version = registry.find(None)
    assert "air-quality" in registry.artifact(version, "report.html").read_text()
    assert registry.artifact(version, "figures").is_dir()
    run = registry.client.get_run(version.run_id)
    assert run.data.params["preset"] == "quick"
    curve = registry.release_of(version).curves["all-sensors/seed-0/loss"]
    assert len(curve) > 1
    assert not list(home.glob(".*"))


def test_a_second_import_changes_nothing_and_a_champion_keeps_its_place(
    trained: Path, bundle: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    import_into(home, bundle)
    assert import_into(home, bundle)["champions"][0]["version"] == 1
    registry = open_registry(CHAMPION, settings_of(home))
    assert len(registry.versions()) == 1
    other = tmp_path / "other"
    train(settings_of(other), data="sample", overrides={"validation_share": 0.3})
    [champion] = import_into(other, bundle)["champions"]
    assert (champion["version"], champion["action"]) == (2, "kept")
    assert "regrow rollback air-quality 2 --sample" in champion["reason"]
    registry = open_registry(CHAMPION, settings_of(other))
    assert registry.find(None).version in (1, "1")
    assert roll_back(registry, 2).champion_after == 2


def state_of(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


def rewrite(bundle: Path, out: Path, change: Any) -> Path:
    """The same archive with its members changed by `change(name, data) -> data or None`."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return out


def swap(bundle: Path, out: Path, name: str) -> Path:
    """One more byte in a member, with the archive's own sums set right."""
    return rewrite(bundle, out, lambda n, data: data + b"x" if n.endswith(name) else data)


def relist(bundle: Path, out: Path, change: Any) -> Path:
    """Another list of contents, with its digest set right: what an attacker would write."""
    import hashlib

    with zipfile.ZipFile(bundle) as archive:
        listed = json.loads(archive.read(CONTENTS))
    change(listed)
    text = json.dumps(listed).encode()
    new = {CONTENTS: text, CONTENTS_DIGEST: hashlib.sha256(text).hexdigest().encode()}
    return rewrite(bundle, out, lambda name, data: new.get(name, data))


def test_a_changed_byte_anywhere_is_an_error_or_harmless(bundle: Path, tmp_path: Path) -> None:
    """Bytes of the archive's own book-keeping, such as a date, may differ; what is stored not."""
    home = tmp_path / "home"
    chance = random.Random(5)
    data = bundle.read_bytes()
    places = [*range(0, 40, 7), *(chance.randrange(len(data)) for _ in range(25))]
    places += range(len(data) - 60, len(data), 9)
    damaged = tmp_path / "damaged.zip"
    refused = 0
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 0x41
        damaged.write_bytes(changed)
        try:
            # What passes is the whole list of contents, each file with its digest.
            with unpacked(damaged, home, None) as (folder, _contents):
                assert folder.is_dir()
        except DataError:
            refused += 1
        assert state_of(home) == []
    assert refused > 25


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_cut_archive_is_one_clear_error(bundle: Path, tmp_path: Path, share: float) -> None:
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bundle.read_bytes()[: int(bundle.stat().st_size * share)])
    with pytest.raises(DataError, match=r"damaged|neither a zip"):
        import_into(tmp_path / "home", cut)
    assert state_of(tmp_path / "home") == []


def test_what_was_tampered_with_is_refused_and_nothing_stored(bundle: Path, tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "bad.zip"
    outside = tmp_path / "escaped.txt"

    def refuse(path: Path, said: str) -> None:
        with pytest.raises(UserError, match=said):
            import_into(home, path)
        assert state_of(home) == []
        assert not outside.exists()

    refuse(swap(bundle, out, "model.keras"), "digest of an archive member differs|too large")
    refuse(swap(bundle, out, CONTENTS), "manifest was changed")
    refuse(
        rewrite(bundle, out, lambda n, d: None if n.endswith("npz") else d),
        "does not contain a member",
    )
    shutil.copy(bundle, out)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("../escaped.txt", "out")
    refuse(out, "refused")

    def lead_out(listed: dict[str, Any]) -> None:
        listed["champions"][0]["model_file"] = "../../escaped.txt"

    refuse(relist(bundle, out, lead_out), "no bundle of this version")
    refuse(relist(bundle, out, lambda listed: listed.update(format=2)), "no bundle of this version")
    refuse(relist(bundle, out, lambda listed: listed["files"].clear()), "no bundle of this version")

    def rename(listed: dict[str, Any]) -> None:
        listed["champions"][0]["model"] = "air-quaility"

    refuse(relist(bundle, out, rename), "there is no model")

    def promise(listed: dict[str, Any]) -> None:
        listed["downloads"] = {"0" * 64: "air-quality"}

    refuse(relist(bundle, out, promise), "no bundle of this version")
    with pytest.raises(DataError, match="the digest of the bundle does not match"):
        import_into(home, bundle, sha256="0" * 64)
    assert state_of(home) == []


def test_a_model_that_answers_otherwise_is_not_stored(
    bundle: Path, trained: Path, tmp_path: Path
) -> None:
    import io

    import numpy as np

    from regrow.base.digests import digest_file

    with zipfile.ZipFile(bundle) as archive:
        name = next(n for n in archive.namelist() if n.endswith("example.npz"))
        with np.load(io.BytesIO(archive.read(name))) as example:
            arrays = {
                key: array + 1 if "outputs" in key else array for key, array in example.items()
            }
    other = tmp_path / "example.npz"
    np.savez(other, **arrays)

    def relabel(listed: dict[str, Any]) -> None:
        listed["files"][name] = {"sha256": digest_file(other), "bytes": other.stat().st_size}

    changed = rewrite(
        relist(bundle, tmp_path / "relisted.zip", relabel),
        tmp_path / "changed.zip",
        lambda n, data: other.read_bytes() if n == name else data,
    )
    with pytest.raises(DataError, match="does not reproduce its example"):
        import_into(tmp_path / "home", changed)
    assert state_of(tmp_path / "home") == []


def test_the_commands_mistakes(regrow: Regrow, tmp_path: Path) -> None:
    for arguments, said in {
        ("bundle", "export", str(tmp_path / "new.zip")): "nothing to bundle",
        ("bundle", "export", str(SAMPLE)): "the bundle already exists",
        ("bundle", "export", "x.zip", "--model", "nothing"): "there is no model",
        ("bundle", "import", "nothing.zip"): "no such bundle",
        ("bundle", "import", str(SAMPLE)): "neither a zip",
    }.items():
        done = regrow(*arguments)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr + done.stdout
    for command in ("export", "import"):
        shown = regrow("bundle", command, "--help", env={"COLUMNS": "200"}).stdout
        assert f"regrow bundle {command}" in shown.partition("Example")[2]


@pytest.mark.real_data
def test_real_data_goes_to_a_machine_with_neither_network_nor_mirror(
    regrow: Regrow, mirror: Path, tmp_path: Path
) -> None:
    first, path = tmp_path / "first", tmp_path / "models.zip"
    train(settings_of(first, mirror))
    made = export_bundle([SPEC], settings_of(first, mirror), path, sources=True)
    assert made["sources"] == ["air-quality"]
    # From here on in processes of their own, in an empty home.
    done = regrow("bundle", "import", path, "--sha256", made["sha256"], "--json", env=NO_NETWORK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["champions"][0]["action"] == "first"
    done = regrow("predict", "air-quality", SAMPLE, "--json", env=NO_NETWORK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "air-quality version 1"
    quick = ("run", "air-quality", "--preset", "quick", "--no-prefect", "--json")
    done = regrow(*quick, env=NO_NETWORK)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["data_kind"] == "real"
    # The same training on the same data is the version that came in the bundle.
    assert (summary["version"], summary["decision"]["action"]) == (1, "first")
