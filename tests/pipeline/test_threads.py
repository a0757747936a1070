"""The bound on scikit-learn's threads. `benchmarks/busy_cores.py` measures what it is good for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import pytest
import sklearn.utils  # noqa: F401  (its OpenMP is what is asked here)
from threadpoolctl import ThreadpoolController, threadpool_limits

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.base.threads import FOLDER, bounded_threads
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.records import last_run


def count_threads() -> int:
    """How many threads scikit-learn would use now, in this thread."""
    libraries = ThreadpoolController().lib_controllers
    [found] = [lib for lib in libraries if lib.user_api == "openmp" and FOLDER.search(lib.filepath)]
    return cast(int, found.num_threads)


def test_inside_a_stage_scikit_learn_uses_one_thread(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shutil.copytree(trained, tmp_path / "home")
    shutil.rmtree(home / "store" / "air-quality" / "evaluate")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    settings = read_environment({"REGROW_HOME": str(home)})
    record = last_run(settings.home, "air-quality")
    assert record is not None
    pipeline = Pipeline(get_spec("air-quality"), record.request, settings)
    seen: set[int] = set()
    with threadpool_limits(limits=3, user_api="openmp"):
        found = pipeline.run_stage("evaluate", record.stages, lambda *_: seen.add(count_threads()))
        assert (seen, found.cached) == ({1}, False)
        assert count_threads() == 3


def test_the_bound_is_for_scikit_learn_and_gives_way_to_the_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with threadpool_limits(limits=3, user_api="openmp"):
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        with bounded_threads({"sklearn"}):
            assert count_threads() == 3
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        with bounded_threads({"numpy"}):
            assert count_threads() == 3
        with bounded_threads({"sklearn"}):
            assert count_threads() == 1
