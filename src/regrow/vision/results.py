"""What the evaluations of finished pictures have in common, whatever made them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regrow.report.evaluation import Figures, Table
from regrow.report.history import FILE, History, TrainingRecord
from regrow.training.inference import load_model
from regrow.vision.canvas import save_picture
from regrow.vision.decoding import Array
from regrow.vision.gallery import open_gallery
from regrow.vision.previews import compare

if TYPE_CHECKING:
    import pandas as pd

    from regrow.store.entry import Entry


def open_results(train: Entry) -> Iterator[tuple[dict[str, Any], Array, TrainingRecord]]:
    """The pictures of a train stage: each with its label and the record of its making."""
    gallery = open_gallery(load_model(train.file("model.keras")))
    history = History.read(train.file(FILE))
    for (label, pixels), run in zip(gallery, history.runs, strict=True):
        yield label, pixels, run


def add_result(
    figures: Figures,
    train: Entry,
    name: str,
    pictures: Sequence[tuple[str, Array]],
    *,
    caption: str,
    sizes: str,
) -> None:
    """Adds a picture beside what it was made from, and the contact sheet of its making.

    Args:
        figures: where they are added.
        train: the train stage, which has the sheet.
        name: the picture's name.
        pictures: titles and pixels (height, width, 3), from 0 to 255.
        caption: describes what the picture compares.
        sizes: what the sizes on the way are called, such as "octaves".
    """
    save_picture(compare(pictures), figures.add(f"{name}.jpg", name, caption))
    way = f"Previews during the optimisation, through the {sizes} from coarse to fine."
    sheet = figures.add(f"{name}-sheet.jpg", f"{name}: contact sheet", way)
    shutil.copyfile(train.file(f"sheets/{name}.jpg"), sheet)


def tabulate_pictures(frame: pd.DataFrame, caption: str) -> Table:
    """The figures of all pictures, one a row; an empty cell where there is none."""
    cells = frame.astype(object).where(frame.notna(), None)
    return Table(
        title="Pictures",
        caption=caption,
        columns=tuple(frame.columns),
        rows=cells.to_numpy().tolist(),
    )


def tabulate_reference(how: str, figures: Mapping[str, float]) -> Table:
    """The one row of a small run that is the same wherever it is made.

    Args:
        how: what was run.
        figures: its figures by column.
    """
    return Table(
        title="Reference run",
        caption=f"{how}, for comparing machines and versions.",
        columns=tuple(figures),
        rows=[tuple(figures.values())],
    )


def note_weights(weights: str) -> list[str]:
    """What a reader must know of a backbone with random weights; nothing of a trained one."""
    if weights != "random":
        return []
    return [
        "The backbone's weights are seeded random numbers, as the settings ask for: it has never "
        "seen a picture, and what it knows of one is colours and textures alone."
    ]
