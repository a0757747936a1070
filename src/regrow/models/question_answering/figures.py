"""Which sentences an answer rests on, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from regrow.report.chart_style import Theme, draw

if TYPE_CHECKING:
    import pandas as pd

ROW_IN = 0.24
# More sentences than these would not be read on a page.
MOST_SENTENCES = 20


def draw_attention(
    row: pd.Series, model: Any, found: dict[str, Any], index: int, out: Path
) -> Path:
    """Draws one answer: the story, and each sentence's weight in each hop.

    Args:
        row: the question's row of the table.
        model: the network, for its vocabulary.
        found: its answers for all rows; `index` is this one's.
        out: the PNG file.
    """
    read = found["attention"][index].shape[-1]
    story = list(row["story"])[-min(read, MOST_SENTENCES) :]
    weights = found["attention"][index][:, -len(story) :]
    first = len(row["story"]) - len(story)
    facts = [int(fact) - first for fact in row["supporting"] if fact >= first]
    answers = model.get_layer("vocabulary").answers
    probabilities = found["answer"][index]
    said = answers[int(probabilities.argmax())]
    title = f"{row['question']}?   {said} ({probabilities.max():.0%})"
    if said != row["answer"]:
        title += f", correct is {row['answer']}"

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.grid(visible=False)
        colours = LinearSegmentedColormap.from_list("attention", [theme.page, theme.series[0]])
        axes.imshow(weights.T, aspect="auto", cmap=colours, vmin=0, vmax=1)
        axes.set_yticks(range(len(story)), story, fontsize=8, color=theme.ink)
        axes.set_xticks(range(len(weights)), [str(n) for n in range(1, len(weights) + 1)])
        axes.set_xlabel("hop or layer")
        axes.set_title(title, loc="left", fontsize=9)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for fact in facts:
            axes.plot(len(weights) - 0.35, fact, "o", color=theme.series[1], clip_on=False, ms=4)

    return draw(out, paint, width_in=6.0, height_in=0.9 + ROW_IN * len(story))
