"""question-answering where regrow is not installed: stories and questions as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

# As `reader.tokenise` finds words; this module is copied without it.
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def describe(model: Any, inputs: Any) -> dict[str, Any]:
    """The words, answers and sizes of the network, and stories of its example."""
    vocabulary = model.get_layer("vocabulary")
    rows = []
    for story, question in zip(inputs["story"][:3], inputs["question"], strict=False):
        texts = [_decode(sentence, vocabulary.words) for sentence in story]
        rows.append(["\n".join(filter(None, texts)), _decode(question, vocabulary.words)])
    return {
        "words": vocabulary.words,
        "answers": vocabulary.answers,
        "story": list(model.get_layer("story").batch_shape[1:]),
        "question": model.get_layer("question").batch_shape[1],
        "columns": [
            {"name": "story", "type": "string", "required": True},
            {"name": "question", "type": "string", "required": True},
        ],
        "example": rows,
    }


def _decode(numbers: Any, words: list[str]) -> str:
    return " ".join(words[number - 1] for number in numbers if number)


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """The answer to each question, its probability, and the sentence that it rests on most.

    A story has one sentence a line. Of a long one the last sentences are read.
    """
    number = {word: n for n, word in enumerate(facts["words"], 1)}
    sentences, room = facts["story"]
    story = np.zeros((len(frame), sentences, room), dtype="int32")
    question = np.zeros((len(frame), facts["question"]), dtype="int32")
    told = []
    for row, (text, asked) in enumerate(zip(frame["story"], frame["question"], strict=True)):
        lines = [line.strip() for line in str(text).splitlines() if WORD.search(line)]
        where = f"row {row + 1}"
        if not lines:
            raise ValueError(f"{where}: the story has no sentence")
        read = lines[-sentences:]
        for place, line in enumerate(read, sentences - len(read)):
            _fill(story[row, place], line, number, where)
        _fill(question[row], str(asked), number, where)
        told.append(lines)
    found = run({"story": story, "question": question})
    best = found["answer"].argmax(axis=1)
    answers = pd.DataFrame(
        {
            "answer": [facts["answers"][n] for n in best],
            "confidence": found["answer"].max(axis=1),
        },
        index=frame.index,
    )
    if "attention" in found:
        shares = found["attention"].sum(axis=1)  # over the hops: (rows, sentences)
        answers["most_attended"] = [
            lines[-sentences:][int(share[-len(lines) :].argmax())]
            for lines, share in zip(told, shares, strict=True)
        ]
    return answers


def _fill(numbers: Any, text: str, known: dict[str, int], where: str) -> None:
    """Writes the numbers of a text's words into a row of zeros."""
    words = WORD.findall(text.lower())
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        received = f"does not know {', '.join(unknown)}" if unknown else "is given no words"
        raise ValueError(f"{where}: the network {received}; it knows {', '.join(known)}")
    if len(words) > len(numbers):
        raise ValueError(f"{where}: at most {len(numbers)} words are read of: {text}")
    numbers[: len(words)] = [known[word] for word in words]
