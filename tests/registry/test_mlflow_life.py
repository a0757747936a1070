"""What people and other versions do to MLflow beside regrow: things deleted, schemas, servers."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.db import upgrade
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from regrow.base.errors import DataError, Unreachable, UserError
from regrow.base.home import Home
from regrow.base.settings import read_environment
from regrow.registry.gate import read_decisions
from regrow.registry.lookup import check_version, read_standing
from regrow.registry.names import ChampionRef
from regrow.registry.reviews import roll_back
from regrow.registry.state import read_state
from tests.support.registries import (
    bias_of,
    champion_of,
    open_registry,
    publish,
)

# So many migrations before the present schema.
STEPS_BACK = 12


@pytest.fixture
def published(home: Path) -> Path:
    """A home with two versions, of which the second is the champion."""
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    return home


def test_without_the_champions_alias_a_way_back_is_named(published: Path) -> None:
    registry = open_registry(published)
    registry.delete_alias("champion")
    with pytest.raises(UserError, match="no champion") as raised:
        check_version(ChampionRef("model"), registry.tracking_uri, registry.home)
    assert "regrow rollback model 2" in str(raised.value)
    assert roll_back(registry, 2).champion_after == 2
    check_version(ChampionRef("model"), registry.tracking_uri, registry.home)


def test_advice_names_scope_and_sample(published: Path) -> None:
    registry = open_registry(published)
    for name, expected in {
        "model.qa02.sample": "regrow run model --sample",
        "model.qa02": "regrow run model trains",
    }.items():
        with pytest.raises(UserError) as raised:
            check_version(ChampionRef.parse(name), registry.tracking_uri, registry.home)
        assert expected in str(raised.value)
    assert ChampionRef.parse("model.qa02.sample").arguments == "model --scope qa02 --sample"


def test_a_deleted_version_is_published_again_under_a_new_number(published: Path) -> None:
    registry = open_registry(published)
    registry.client.delete_model_version("model", "2")
    assert champion_of(registry) is None
    with pytest.raises(UserError, match="no version 2"):
        registry.find(2)
    again = publish(published, "b", 1.0)
    assert (again.version, again.decision.action, champion_of(registry)) == (3, "first", 3)
    assert bias_of(registry.load(1)) == 2.0


def test_a_deleted_run_harms_no_version_and_a_purged_one_is_named(published: Path) -> None:
    registry = open_registry(published)
    version = registry.find(2)
    registry.client.delete_run(version.run_id)
    assert registry.read_text(version, "card.md") == "card"
    assert publish(published, "b", 1.0).decision.action == "promoted"
    assert publish(published, "c", 3.0).decision.action == "kept"
    with closing(sqlite3.connect(published / "mlflow.db")) as database, database:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (version.run_id,))
    with pytest.raises(DataError, match="was deleted from MLflow") as raised:
        registry.artifact(version, "card.md")
    assert "delete that version in MLflow" in str(raised.value)
    with pytest.raises(DataError, match="was deleted from MLflow"):
        publish(published, "b", 1.0)
    registry.client.delete_model_version("model", "2")
    assert publish(published, "b", 1.0).version == 4
    assert champion_of(registry) == 4


def test_after_a_deleted_registered_model_numbers_and_log_begin_anew(published: Path) -> None:
    registry = open_registry(published)
    roll_back(registry, 1, "of the model that is deleted next")
    old = registry.decisions.read_text()
    registry.client.delete_registered_model("model")
    assert read_standing(registry.tracking_uri, "model", registry.home).versions == frozenset()
    assert publish(published, "a", 2.0).decision.action == "first"
    # Its number is that of a version that was rolled back.
    assert publish(published, "b", 1.0).version == 2
    registry.set_alias("champion", 1)
    assert publish(published, "b", 1.0).decision.action == "promoted"
    assert {d.action for d in read_decisions(registry.decisions)} == {"first", "promoted"}
    (kept,) = registry.decisions.parent.glob("model.jsonl.*")
    assert kept.read_text() == old
    settings = read_environment({"REGROW_HOME": str(published)})
    state = read_state(ChampionRef("model"), settings)
    assert state is not None
    assert (state.alias, state.problem) == (2, None)


def test_a_deleted_model_is_not_missed_while_its_files_are_lost(published: Path) -> None:
    registry = open_registry(published)
    shutil.rmtree(published / "mlartifacts" / "model" / "models")
    with pytest.raises(Unreachable, match="nothing was promoted"):
        publish(published, "c", 0.1)
    assert champion_of(registry) == 2


def make_old_database(path: Path) -> str:
    """A database of an older schema, by MLflow's own migrations, with a champion in it."""
    address = f"sqlite:///{path}"
    engine = sqlalchemy.create_engine(address)
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    folder = Path(mlflow.__file__).parent / "store" / "db_migrations"
    revisions = [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()]
    config = _get_alembic_config(address)  # type: ignore[no-untyped-call]
    command.upgrade(config, revisions[STEPS_BACK])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO registered_models (name) VALUES ('old')")
        database.execute(
            "INSERT INTO model_versions (name, version, current_stage) VALUES ('old', 7, 'None')"
        )
        database.execute(
            "INSERT INTO registered_model_aliases (name, alias, version) "
            "VALUES ('old', 'champion', 7)"
        )
    return revisions[STEPS_BACK]


def test_the_homes_own_database_of_an_older_schema_is_upgraded_and_kept(tmp_path: Path) -> None:
    old = Home(tmp_path)
    revision = make_old_database(old.database)
    before = old.database.read_bytes()
    assert read_standing(f"sqlite:///{old.database}", "old", old).champion == 7
    registry = open_registry(tmp_path)
    assert registry.client.get_model_version_by_alias("old", "champion").version == 7
    assert publish(tmp_path, "a", 2.0).decision.action == "first"
    kept = old.old_database(revision)
    assert kept.name == f"mlflow-{revision}.db"
    with closing(sqlite3.connect(kept)) as database, closing(sqlite3.connect(":memory:")) as was:
        was.deserialize(before)
        assert list(database.iterdump()) == list(was.iterdump())
    assert not list(tmp_path.glob(".*"))


def test_another_database_of_an_older_schema_is_left_to_its_owner(tmp_path: Path) -> None:
    shared = tmp_path / "shared #1.db"
    make_old_database(shared)
    before = shared.read_bytes()
    with pytest.raises(UserError, match="older MLflow") as raised:
        open_registry(tmp_path / "home", f"sqlite:///{shared}")
    assert shared.read_bytes() == before
    (advice,) = raised.value.remedies
    assert f"mlflow db upgrade 'sqlite:///{shared}'" in advice
    upgrade([f"sqlite:///{shared}"], standalone_mode=False)
    registry = open_registry(tmp_path / "home", f"sqlite:///{shared}")
    assert registry.client.get_model_version_by_alias("old", "champion").version == 7


def test_a_database_of_a_newer_schema_is_left_as_it_is(home: Path) -> None:
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffff00001111'")
    before = (home / "mlflow.db").read_bytes()
    with pytest.raises(UserError, match="newer MLflow") as raised:
        open_registry(home)
    assert raised.value.received == "schema ffff00001111"
    assert (home / "mlflow.db").read_bytes() == before


def test_two_registries_of_one_home_know_nothing_of_each_other(published: Path) -> None:
    """Versions, champions, logs and vetoes of one tracking address are not those of another."""
    first = open_registry(published)
    other = open_registry(published, f"sqlite:///{published / 'other.db'}")
    assert publish(published, "b", 1.0, other).decision.action == "first"
    assert publish(published, "d", 0.5, other).decision.action == "promoted"
    assert roll_back(other).champion_after == 1
    assert (champion_of(first), champion_of(other)) == (2, 1)
    assert [bias_of(first.load(n)) for n in (1, 2)] == [2.0, 1.0]
    assert [bias_of(other.load(n)) for n in (1, 2)] == [1.0, 0.5]
    assert len(read_decisions(first.decisions)) == 2
    assert len(read_decisions(other.decisions)) == 3
    assert publish(published, "d", 0.5, other).decision.action == "kept"
    assert publish(published, "d", 0.5).decision.action == "promoted"
    other.client.delete_registered_model("model")
    assert bias_of(first.load(3)) == 0.5
