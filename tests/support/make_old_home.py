"""Makes `old_home.tar.xz`: a home as regrow kept it before its engine was split into sub-packages.

    git worktree add --detach /tmp/old d21d18c
    python tests/support/make_old_home.py /tmp/old tests/support/old_home.tar.xz
    git worktree remove /tmp/old

The archive shows that today's code still reads, uses and migrates what that commit wrote. It holds
`home/` (two versions of air-quality on the shipped sample, of which the second is the champion;
image-similarity and digit-localisation, whose networks contain layers of regrow's own; a training
that was killed), `inputs/` (files to predict from) and `predictions.json` (what the old code
predicted from them). All data is the shipped sample and scikit-learn's digits.

Everything happens below `PLACE`, and nothing in the archive names another path of the machine.
MLflow's database holds absolute addresses below `PLACE`, as that of any home that was moved.
What takes much room and what a clean-up could have removed (pages, figures, most stage results) is
left out.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PLACE = Path("/tmp/regrow-old")  # the same on every machine: the home's files contain it
HOME, CHECKOUT, INPUTS = PLACE / "home", PLACE / "checkout", PLACE / "inputs"
PREDICTIONS = PLACE / "predictions.json"
MAX_BYTES = 1_500_000
LEFT_OUT = (
    "home/downloads",
    "home/native.log",
    "home/reports/*",
    "home/mlartifacts/*/*/artifacts/report.html",
    "home/mlartifacts/*/*/artifacts/validation.html",
    "home/mlartifacts/*/*/artifacts/figures",
    "home/store/*/evaluate",
    "home/store/*/publish",
    "home/store/digit-localisation",
    "home/store/image-similarity",
)

AIR_QUALITY = ("air-quality", "--sample", "--preset", "quick")
# A straight line, which the fourth-degree polynomial of the preset beats.
FIRST = (*AIR_QUALITY, "--set", "variants.all-sensors.degree=1")
# Long enough to be killed on its way.
ENDLESS = (*AIR_QUALITY, "--set", "variants.all-sensors.epochs=10000")
SIMILARITY = (
    *("image-similarity", "--preset", "quick"),
    *("--set", "filters=8", "--set", "embedding_size=8"),
)
LOCALISATION = (
    *("digit-localisation", "--preset", "quick", "--set", "filters=4", "--set", "epochs=4"),
    *("--set", "validation_scenes=100", "--set", "test_scenes=100"),
)

QUESTIONS = (
    ("air-quality", "readings.csv", "--sample", "--version", "1"),
    ("air-quality", "readings.csv", "--sample", "--version", "2"),
    ("image-similarity", "three.png", "another-three.png", "five.png"),
    ("digit-localisation", "scene.png"),
)


def main() -> None:
    """Runs the old code and packs what it wrote."""
    old, target = (Path(argument).resolve() for argument in sys.argv[1:])
    if PLACE.exists():
        sys.exit(f"{PLACE} exists already: remove it and start again")
    shutil.copytree(
        old, CHECKOUT, ignore=shutil.ignore_patterns(".venv*", "__pycache__", ".*_cache")
    )
    for arguments in (FIRST, AIR_QUALITY, SIMILARITY, LOCALISATION):
        run_regrow("run", *arguments, "--no-prefect")
    kill_training()
    forget_machine()
    write_inputs()
    answers = [{"arguments": list(of), **predict(of)} for of in QUESTIONS]
    PREDICTIONS.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    for pattern in LEFT_OUT:
        for path in PLACE.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    check_paths(str(old))
    pack(target)
    shutil.rmtree(PLACE)


def run_regrow(*arguments: str, cwd: Path = CHECKOUT) -> str:
    """Runs a command of the old code; returns its standard output."""
    done = subprocess.run(
        _command(arguments),
        cwd=cwd,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def kill_training() -> None:
    """Starts a training and kills it once it has written a checkpoint."""
    process = subprocess.Popen(
        _command(("run", *ENDLESS, "--no-prefect")), cwd=CHECKOUT, env=_environment()
    )
    while not list(HOME.glob("scratch/air-quality/train/*/*/**/checkpoint.npz")):
        if process.poll() is not None:
            sys.exit("the training ended before it wrote a checkpoint")
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()


def forget_machine() -> None:
    """Takes this machine's name and process out of the killed run's record.

    On a machine of another name that run would be believed to be under way.
    """
    for path in HOME.glob("runs/*/*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record |= {"pid": 0, "host": ""}
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")


def write_inputs() -> None:
    """Writes the first rows of the sample, and pictures of scikit-learn's digits."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    INPUTS.mkdir()
    rows = (CHECKOUT / "data/samples/air-quality.csv").read_text(encoding="utf-8").splitlines()
    (INPUTS / "readings.csv").write_text("\n".join(rows[:25]) + "\n", encoding="utf-8")
    digits = load_digits()
    pictures = {}
    for name, digit, number in (("three", 3, 0), ("another-three", 3, 1), ("five", 5, 0)):
        ink = digits.images[np.flatnonzero(digits.target == digit)[number]]
        paper = Image.fromarray((255 - ink * 15).astype("uint8"))
        pictures[name] = paper.resize((32, 32), Image.Resampling.BICUBIC)
    pictures["scene"] = Image.new("L", (80, 64), color=255)
    pictures["scene"].paste(pictures["three"], (30, 20))
    for name, picture in pictures.items():
        picture.save(INPUTS / f"{name}.png")


def predict(arguments: Sequence[str]) -> dict[str, Any]:
    """What `regrow predict` answers, from within the folder of inputs."""
    answer: dict[str, Any] = json.loads(run_regrow("predict", *arguments, "--json", cwd=INPUTS))
    return answer


def check_paths(old: str) -> None:
    """Makes sure that no file names a path of this machine outside `PLACE`."""
    forbidden = {
        old,
        str(Path.home()),
        sys.prefix,
        getpass.getuser() + "@",
        os.uname().nodename + "/",
    }
    for path in [*HOME.rglob("*"), *INPUTS.rglob("*"), PREDICTIONS]:
        content = path.read_bytes() if path.is_file() else b""
        for text in forbidden:
            if text.encode() in content:
                sys.exit(f"{path} contains {text}")


def pack(target: Path) -> None:
    """Writes the archive with sorted names and without times and owners."""

    def forget(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(target, "w:xz", preset=9, format=tarfile.PAX_FORMAT) as archive:
        for path in sorted([*HOME.rglob("*"), *INPUTS.rglob("*"), PREDICTIONS]):
            archive.add(path, path.relative_to(PLACE), recursive=False, filter=forget)
    size = target.stat().st_size
    print(f"{target}: {size:,} bytes")
    if size > MAX_BYTES:
        sys.exit(f"that is more than {MAX_BYTES:,}")


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "regrow.cli", *arguments]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": str(PLACE),
        "LOGNAME": "regrow",
        "KERAS_BACKEND": "tensorflow",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{CHECKOUT / 'src'}{os.pathsep}{CHECKOUT}",
        "REGROW_HOME": str(HOME),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


if __name__ == "__main__":
    main()
