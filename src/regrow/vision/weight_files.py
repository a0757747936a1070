"""Checks of files of weights of which nobody has published a digest; see data/sources.toml."""

from __future__ import annotations

from pathlib import Path

from regrow.vision.backbones import build_backbone


def check_mobilenet(path: Path) -> None:
    """Makes sure that a file has a finite number for every weight of MobileNet without its head.

    Raises:
        DataError: it is damaged, or of another architecture.
    """
    build_backbone("mobilenet", weights=path)
