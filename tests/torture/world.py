"""The homes that operations are killed in, and the operations."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regrow.base.home import Home
from regrow.pipeline.stages import STAGES, Stage
from regrow.registry.gate import read_decisions
from tests.conftest import REPOSITORY
from tests.support.commands import REGROW, Launcher
from tests.support.readings import write_readings

MODEL = "air-quality"
# Trained in a few seconds; long enough for a checkpoint.
SHORT = ("--preset", "quick", "--set", "variants.without-s2.min_steps=100")
RUN = ("run", MODEL, *SHORT, "--no-prefect", "--json")
REFRESH = ("refresh", "--source", MODEL, "--json")
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Operation:
    """An operation that is killed.

    Attributes:
        name: what it is called in the counts.
        command: the arguments of regrow.
        begin: the audit event that begins it; see `Window`.
        end: the event that ends it.
        path: part of the path of both.
        prepare: makes the home, of which there is nothing yet.
        mirror: the mirror's folder.
        done: what a second attempt may answer instead, where the first did everything.
    """

    name: str
    command: tuple[str, ...]
    begin: str
    end: str
    path: str
    prepare: Callable[[Path], None]
    mirror: Path
    done: str = ""

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment of a process whose home is in a folder."""
        return make_environment(folder, self.mirror)


def make_environment(folder: Path, mirror: Path) -> dict[str, str]:
    """The environment of a process whose home is in a folder, and that has this mirror."""
    foreign = ("MLFLOW_", "PREFECT_", "REGROW_")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return {
        **inherited,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
        "REGROW_HOME": str(folder / "home"),
        "REGROW_MIRROR": str(mirror),
    }


class World:
    """Two states of one source, a bundle, and homes before and after a run on each state.

    Args:
        folder: where all of it is.
        launcher: starts the commands.
    """

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder = folder
        self.launcher = launcher
        self.bundle = folder / "bundle.zip"
        self.mirrors = {name: folder / f"mirror-{name}" for name in ("first", "second")}
        for factor, mirror in zip((1.0, 1.5), self.mirrors.values(), strict=True):
            _write_mirror(mirror, factor)
        self.trained = self._grow("trained", None, "first", REFRESH, RUN)
        self.refreshed = self._grow("refreshed", self.trained, "second", REFRESH)
        self.retrained = self._grow("retrained", self.refreshed, "second", RUN)
        last = read_decisions(Home(self.retrained).decisions / f"{MODEL}.jsonl")[-1]
        assert last.action == "promoted", last  # else there is nothing to roll back from
        export = ("bundle", "export", str(self.bundle), "--model", MODEL, "--no-sources")
        self._run(self.retrained.parent, "second", export)

    def list_operations(self) -> list[Operation]:
        """Every operation that is killed, those that take longest first."""
        stages = [self._stage(stage) for stage in reversed(list(STAGES))]
        lock = f"{MODEL}-registry.lock"
        bundle = ("bundle", "import", str(self.bundle), "--json")
        rollback = ("rollback", MODEL, "1", "--why", "torture", "--json")
        return [
            *stages,
            self._locked("first publish", RUN, lock, self._before_the_first, "first"),
            self._locked("import, empty home", bundle, ".importing.lock", _make_nothing),
            self._locked("import, other champion", bundle, ".importing.lock", self._copy_trained),
            self._locked("gc", ("gc", "--keep", "0", "--json"), "/gc.lock", self._copy_retrained),
            self._locked(
                "rollback", rollback, lock, self._copy_retrained, done="already the champion"
            ),
            self._locked("refresh", REFRESH, f"/.lock-{MODEL}", self._copy_trained),
        ]

    def _stage(self, stage: Stage) -> Operation:
        def prepare(home: Path) -> None:
            # Of the run on the second state all is there but this stage's result, and later stages
            # are found if it ends with the very same bytes. Before `publish` nothing is registered.
            shutil.copytree(self.refreshed if stage == "publish" else self.retrained, home)
            results = Path("store") / MODEL
            shutil.copytree(self.retrained / results, home / results, dirs_exist_ok=True)
            known = {path.name for path in (self.refreshed / results / stage).iterdir()}
            for path in (home / results / stage).iterdir():
                if path.name not in known:
                    shutil.rmtree(path)
            if stage == "download":
                shutil.rmtree(home / "downloads")

        return Operation(
            name=stage,
            command=RUN,
            begin="os.mkdir",
            end="os.rename",
            path=f"/store/{MODEL}/{stage}/.building-",
            prepare=prepare,
            mirror=self.mirrors["second"],
        )

    def _locked(
        self,
        name: str,
        command: tuple[str, ...],
        lock: str,
        prepare: Callable[[Path], None],
        mirror: str = "second",
        done: str = "",
    ) -> Operation:
        """An operation that is at work as long as it holds a lock."""
        return Operation(
            name, command, "open", "os.remove", lock, prepare, self.mirrors[mirror], done
        )

    def _before_the_first(self, home: Path) -> None:
        """All stages but the last are done, and there is no registry."""
        shutil.copytree(self.trained, home)
        for path in (home / "store" / MODEL / "publish", home / "mlartifacts", home / "decisions"):
            shutil.rmtree(path)
        for name in ("runs", "reports"):
            shutil.rmtree(home / name)
        Home(home).database.unlink()

    def _copy_trained(self, home: Path) -> None:
        shutil.copytree(self.trained, home)

    def _copy_retrained(self, home: Path) -> None:
        shutil.copytree(self.retrained, home)

    def _grow(
        self, name: str, origin: Path | None, mirror: str, *commands: tuple[str, ...]
    ) -> Path:
        """A home in which further commands were run; it is moved nowhere afterwards."""
        folder = self.folder / name
        folder.mkdir()
        if origin is not None:
            shutil.copytree(origin, folder / "home")
        for command in commands:
            self._run(folder, mirror, command)
        return folder / "home"

    def _run(self, folder: Path, mirror: str, command: tuple[str, ...]) -> None:
        done = self.launcher.run(
            *REGROW,
            *command,
            env=make_environment(folder, self.mirrors[mirror]),
            cwd=folder,
            timeout_s=PATIENCE_S,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def _make_nothing(_home: Path) -> None:
    """An empty home is one that does not exist."""


def _write_mirror(mirror: Path, factor: float) -> None:
    """A mirror with the sample in place of the real file, benzene multiplied by a factor."""
    folder = mirror / MODEL
    folder.mkdir(parents=True)
    readings = folder / "AirQualityUCI.csv"
    write_readings(readings, factor)
    with zipfile.ZipFile(folder / "AirQualityUCI.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(readings, readings.name)
    readings.unlink()
