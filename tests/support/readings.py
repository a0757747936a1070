"""Readings of air-quality that differ from the shipped sample."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import SAMPLE


def write_readings(path: Path, factor: float) -> None:
    """The sample with its benzene multiplied by a factor."""
    header, *lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    column = header.split(";").index("C6H6(GT)")
    with path.open("w", encoding="utf-8") as stream:
        print(header, file=stream)
        for line in lines:
            cells = line.split(";")
            value = float(cells[column].replace(",", ".") or -200)
            if value != -200:
                cells[column] = f"{factor * value:.2f}".replace(".", ",")
            print(";".join(cells), file=stream)
