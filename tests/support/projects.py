"""Projects of a test's own: a folder with regrow.toml and the sources that it declares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def write_project(root: Path, sources: str, more: str = "") -> Path:
    """Makes a project whose sources are the TOML text `sources`; `more` goes into regrow.toml."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "data" / "sources.toml").write_text(sources)
    (root / "regrow.toml").write_text(f'sources = "data/sources.toml"\n{more}')
    return root


@contextmanager
def use_project(root: Path, model: str) -> Iterator[None]:
    """Makes an empty project with one package the one in use, with a home in it."""
    (root / model).mkdir(exist_ok=True)
    (root / "regrow.toml").write_text(f'models = ["{model}"]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGROW_PROJECT", str(root))
        patch.setenv("REGROW_HOME", str(root / "home"))
        patch.syspath_prepend(str(root))
        yield
        forget(model)


def forget(package: str) -> None:
    """Has a package's modules read again when they are imported next."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
