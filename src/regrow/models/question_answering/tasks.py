"""The twenty tasks and the files that hold them. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

Edition = Literal["en", "en-10k"]
Split = Literal["train", "test"]

FOLDER = "tasks_1-20_v1-2"
# The tasks by number, as the files call them.
TASKS = {
    1: "single-supporting-fact",
    2: "two-supporting-facts",
    3: "three-supporting-facts",
    4: "two-arg-relations",
    5: "three-arg-relations",
    6: "yes-no-questions",
    7: "counting",
    8: "lists-sets",
    9: "simple-negation",
    10: "indefinite-knowledge",
    11: "basic-coreference",
    12: "conjunction",
    13: "compound-coreference",
    14: "time-reasoning",
    15: "basic-deduction",
    16: "basic-induction",
    17: "positional-reasoning",
    18: "size-reasoning",
    19: "path-finding",
    20: "agents-motivations",
}
# No public copy of the 10k training file of task 3 was found; a mirror's is mostly simulated.
ONLY_EN = (3,)


def member_path(edition: Edition, task: int, split: Split) -> str:
    """Where a task's file is in the archive."""
    return f"{FOLDER}/{edition}/qa{task}_{TASKS[task]}_{split}.txt"
