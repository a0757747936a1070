"""Small generated data, with which a new model runs before it has data of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS = 600
PLANS = ("basic", "plus", "pro")
GOOD = ("fast", "friendly", "reliable", "quiet", "excellent", "easy")
BAD = ("slow", "rude", "broken", "loud", "terrible", "difficult")
SHAPES = ("circle", "square", "triangle")
PLAIN = ("the", "delivery", "was", "and", "service", "box", "today", "with", "again", "very")


def write_customers(path: Path, seed: int = 0) -> None:
    """A CSV of generated customers, of whom those with high fees leave more often."""
    import pandas as pd

    draw = np.random.default_rng(seed)
    age, fee = draw.integers(18, 80, ROWS), draw.gamma(3, 10, ROWS).round(2)
    plan = draw.choice(PLANS, ROWS)
    leaning = (fee - 30) / 15 - (age - 50) / 20 - (plan == "pro") + draw.normal(0, 0.7, ROWS)
    pd.DataFrame(
        {
            "customer_id": np.arange(1, ROWS + 1),
            "signup_date": pd.date_range("2023-01-01", periods=ROWS).strftime("%Y-%m-%d"),
            "age": age,
            "monthly_fee": fee,
            "plan": plan,
            "churned": np.where(leaning > 0, "yes", "no"),
        }
    ).to_csv(path, index=False)


def write_reviews(path: Path, seed: int = 0) -> None:
    """A CSV of generated reviews in words of praise or of complaint."""
    import pandas as pd

    draw = np.random.default_rng(seed)
    is_good = draw.random(ROWS) < 0.5
    texts = []
    for good in is_good:
        words = [*draw.choice(GOOD if good else BAD, 2), *draw.choice(PLAIN, 6)]
        texts.append(" ".join(draw.permutation(words)))
    pd.DataFrame(
        {
            "review_id": np.arange(1, ROWS + 1),
            "review": texts,
            "opinion": np.where(is_good, "good", "bad"),
        }
    ).to_csv(path, index=False)


def write_measurements(path: Path, seed: int = 0) -> None:
    """A CSV of two generated measurements, of which the second follows from the first."""
    import pandas as pd

    draw = np.random.default_rng(seed)
    x = draw.uniform(-2, 2, ROWS).round(4)
    y = (np.sin(2 * x) + draw.normal(0, 0.1, ROWS)).round(4)
    pd.DataFrame({"row": np.arange(ROWS), "x": x, "y": y}).to_csv(path, index=False)


def write_shapes(path: Path, seed: int = 0) -> None:
    """A zip of generated pictures, 32 x 32 pixels: circles, squares and triangles of any colour."""
    import io
    import zipfile

    from PIL import Image, ImageDraw

    draw = np.random.default_rng(seed)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(ROWS):
            shape = SHAPES[number % len(SHAPES)]
            dark, light = (draw.integers(low, low + 100, 3).tolist() for low in (0, 155))
            picture, ink = Image.new("RGB", (32, 32), tuple(dark)), tuple(light)
            x, y = draw.integers(10, 22, 2).tolist()
            radius = int(draw.integers(5, 9))
            around = (x - radius, y - radius, x + radius, y + radius)
            pen = ImageDraw.Draw(picture)
            if shape == "circle":
                pen.ellipse(around, fill=ink)
            elif shape == "square":
                pen.rectangle(around, fill=ink)
            else:
                pen.polygon(
                    [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], ink
                )
            content = io.BytesIO()
            picture.save(content, "PNG")
            # With the time that is usual for such archives, so that the same pictures are one file.
            member = zipfile.ZipInfo(f"{shape}/{number:03}.png")
            archive.writestr(member, content.getvalue())
