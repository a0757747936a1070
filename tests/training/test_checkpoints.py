from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regrow.training.checkpoints import Checkpoint, identify


def test_only_the_work_that_wrote_a_checkpoint_loads_it(tmp_path: Path) -> None:
    path, pixels = tmp_path / "folder" / "c.npz", np.arange(6.0).reshape(1, 2, 3)
    mine = Checkpoint(path, identify({"steps": 3}, pixels), every_s=0)
    assert mine.load() is None
    mine.save({"done": 2}, {"pixels": pixels})
    state, arrays = mine.load() or ({}, {})
    assert state == {"done": 2}
    np.testing.assert_array_equal(arrays["pixels"], pixels)
    assert Checkpoint(path, identify({"steps": 4}, pixels)).load() is None
    assert Checkpoint(path, identify({"steps": 3}, pixels + 1)).load() is None
    assert [one.name for one in path.parent.iterdir()] == ["c.npz"]
    path.write_bytes(path.read_bytes()[:100])
    assert mine.load() is None


def test_without_a_path_nothing_is_due_or_written() -> None:
    nowhere = Checkpoint(None, "", every_s=0)
    assert not nowhere.is_due()
    nowhere.save({}, {})
    assert nowhere.load() is None


def test_a_pickled_object_is_never_written_or_loaded(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    mine = Checkpoint(path, "identity")
    with pytest.raises(ValueError, match="pickle"):
        mine.save({}, {"object": np.array([object()], dtype=object)})
    assert not path.exists()
    np.savez(path, allow_pickle=True, state=np.array([object()], dtype=object))
    assert mine.load() is None
