"""A backbone's weights for a command: from a source, from a file, or random ones if asked for."""

from __future__ import annotations

from pathlib import Path

from regrow.base.errors import SourceError, UserError
from regrow.base.progress import report
from regrow.base.settings import Settings
from regrow.sources.catalog import declared_sources
from regrow.sources.first_sight import obtain_source
from regrow.sources.retries import make_retries
from regrow.vision.choices import weights_source


def obtain_weights(backbone: str, choice: str, settings: Settings) -> Path | None:
    """The file with a backbone's weights; None for random ones.

    Args:
        backbone: "mobilenet", "vgg16" or "vgg19".
        choice: "imagenet", "random", or a file of the user's own.
        settings: where mirror and downloads are.

    Raises:
        SourceError: no place has them.
        UserError: there is no such file.
    """
    if choice == "random":
        return None
    if choice != "imagenet":
        path = Path(choice)
        if not path.is_file():
            raise UserError(
                "the weights file does not exist",
                where="--weights",
                received=choice,
                expected="imagenet, random, or an HDF5 file",
            )
        return path
    source = declared_sources(settings)[weights_source(backbone)]
    try:
        return obtain_source(source, settings, report, make_retries(settings)).path
    except SourceError as error:  # a command takes the file by an option of its own
        own = f"--source {source.name}=PATH"
        error.remedies = tuple(text.replace(own, "--weights FILE") for text in error.remedies)
        raise
