"""Small generated tables, with which a new model runs before it has data of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS = 600
PLANS = ("basic", "plus", "pro")
GOOD = ("fast", "friendly", "reliable", "quiet", "excellent", "easy")
BAD = ("slow", "rude", "broken", "loud", "terrible", "difficult")
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
