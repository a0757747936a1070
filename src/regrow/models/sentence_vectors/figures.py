"""Charts of sentence-vectors: how alike reconstructions are, and documents by topic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from regrow.report.chart_style import Theme, draw

MAP_TOPICS = 6
MAP_DOCUMENTS = 900

Array = np.ndarray[Any, np.dtype[Any]]


def draw_cosines(cosines: dict[str, Array], out: Path) -> Path:
    """How often each cosine occurs, by name."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        lowest = min(-0.2, *(float(of.min()) for of in cosines.values()))
        bins = np.linspace(lowest, 1, 70).tolist()
        for n, (name, values) in enumerate(cosines.items()):
            axes.hist(values, bins=bins, color=theme.series[n], alpha=0.7, label=name)
        axes.set_xlabel("cosine")
        axes.set_ylabel("sentences")
        axes.legend(loc="upper left")

    return draw(out, paint)


def draw_topic_map(vectors: Array, topics: Array, names: tuple[str, ...], out: Path) -> Path | None:
    """Documents with exactly one of the largest topics, near each other if their vectors are.

    Two dimensions by t-SNE (van der Maaten and Hinton 2008) on the 50 main axes.

    Args:
        vectors: (documents, features).
        topics: (documents, topics), bool.
        names: of the topics.

    Returns:
        The file; None if there are too few such documents.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    largest = np.argsort(-topics.sum(axis=0), kind="stable")[:MAP_TOPICS]
    rows = np.flatnonzero((topics.sum(axis=1) == 1) & topics[:, largest].any(axis=1))
    rows = np.random.default_rng(0).permutation(rows)[:MAP_DOCUMENTS]
    if len(rows) < 3:
        return None
    main = PCA(min(50, len(rows) - 1, vectors.shape[1]), random_state=0)
    axes_of = main.fit_transform(vectors[rows])
    nearby = min(30, (len(rows) - 1) // 3)
    points = TSNE(2, random_state=0, init="pca", perplexity=max(nearby, 1)).fit_transform(axes_of)

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for n, topic in enumerate(largest):
            mine = topics[rows, topic]
            colour = theme.series[n % len(theme.series)]
            x, y = points[mine].T
            axes.scatter(x, y, s=9, color=colour, linewidths=0, label=names[topic])
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)

    return draw(out, paint, height_in=5.0)
