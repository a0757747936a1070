"""Answers to a person's questions about a story of their own."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regrow.base.errors import DataError
from regrow.models.question_answering.score import BATCH_ROWS
from regrow.models.question_answering.stories import Asked, read_stories
from regrow.models.question_answering.vocabulary import StoryVocabulary, encode, read_sizes
from regrow.training.inference import answer

if TYPE_CHECKING:
    import pandas as pd

Unknown = Literal["refuse", "skip", "nearest"]
"""What is done with words that the network does not know: refused, left out, or read as the known
word that is spelled most alike."""
ALIKE = 0.6
ALTERNATIVES = 3


@dataclass(frozen=True)
class Answered:
    """An answer and what it rests on.

    Attributes:
        answer: the likeliest one.
        confidence: its probability.
        others: the next likeliest ones with their probabilities.
        attention: (hops, sentences of the story), or None; sentences not read have zeros.
        replaced: by word, what it was read as; "" for one that was left out.
    """

    asked: Asked
    answer: str
    confidence: float
    others: tuple[tuple[str, float], ...]
    attention: np.ndarray[Any, Any] | None
    replaced: dict[str, str]


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Answers every question of text files; see `stories.read_stories`.

    Returns:
        A frame with `file`, `where`, `question`, `answer`, `confidence` (0 to 1), `expected` ("" if
        the file has none) and `most_attended`, the sentence with the largest share of attention.

    Raises:
        DataError: a file cannot be read, or has words that the network does not know.
    """
    import pandas as pd

    rows = []
    for path in paths:
        for found in answer_asked(model, read_stories(path)):
            attention, story = found.attention, found.asked.story
            attended = "" if attention is None else story[int(attention.sum(axis=0).argmax())]
            rows.append(
                {
                    "file": str(path),
                    "where": found.asked.where.rpartition(", ")[2],
                    "question": found.asked.question,
                    "answer": found.answer,
                    "confidence": found.confidence,
                    "expected": found.asked.expected,
                    "most_attended": attended,
                }
            )
    return pd.DataFrame(rows)


def answer_asked(model: Any, asked: Sequence[Asked], unknown: Unknown = "refuse") -> list[Answered]:
    """Answers questions.

    Raises:
        DataError: a word is unknown and `unknown` is "refuse", or nothing is left of a question or
            of its story, or a sentence has more words than the network reads.
    """
    vocabulary: StoryVocabulary = model.get_layer("vocabulary")
    sizes = read_sizes(model)
    texts, replaced = [], []
    for one in asked:
        story, question = one.tokenised
        changes = _resolve(one, vocabulary, unknown)
        story, [question] = _replace(story, changes), _replace([question], changes)
        rooms = [sizes.sentence_words] * len(story) + [sizes.question_words]
        for text, room in zip([*story, question], rooms, strict=True):
            if len(text.split()) > room:
                raise DataError(
                    "the sentence is too long for the network",
                    where=one.where,
                    received=f"{len(text.split())} words: {text}",
                    expected=f"at most {room}, as in the training data",
                    remedies=["use shorter sentences, one per line"],
                )
        if not question or not any(story):
            raise DataError(
                "nothing remains of the story or the question after unknown words are removed",
                where=one.where,
                received=one.question,
                remedies=["use words that the network knows"],
            )
        texts.append((story, question))
        replaced.append(changes)
    stories, questions = zip(*texts, strict=True)
    found = answer(model, encode(stories, questions, vocabulary, sizes), batch_rows=BATCH_ROWS)
    attention = found.get("attention", [None] * len(texts))
    return [
        _describe(*row, vocabulary)
        for row in zip(asked, found["answer"], attention, replaced, strict=True)
    ]


def _resolve(asked: Asked, vocabulary: StoryVocabulary, unknown: Unknown) -> dict[str, str]:
    """What to read for each word that is not known."""
    story, question = asked.tokenised
    words = vocabulary.find_unknown([*story, question])
    nearest = {
        word: next(iter(difflib.get_close_matches(word, vocabulary.words, 1, ALIKE)), "")
        for word in words
    }
    if words and unknown == "refuse":
        hints = [
            f"{word} (did you mean {near}?)" if near else word for word, near in nearest.items()
        ]
        raise DataError(
            "the network does not know " + ("a word" if len(words) == 1 else "some words"),
            where=asked.where,
            received=", ".join(hints),
            expected=f"its {len(vocabulary.words)} words: {', '.join(vocabulary.words)}",
            remedies=[
                "use known words",
                "regrow ask --unknown nearest replaces them with the nearest known words, "
                "--unknown skip leaves them out",
            ],
        )
    return nearest if unknown == "nearest" else dict.fromkeys(words, "")


def _replace(texts: Sequence[str], changes: dict[str, str]) -> list[str]:
    return [
        " ".join(filter(None, (changes.get(word, word) for word in text.split()))) for text in texts
    ]


def _describe(
    asked: Asked,
    probabilities: Any,
    attention: Any,
    replaced: dict[str, str],
    vocabulary: StoryVocabulary,
) -> Answered:
    best, *others = np.argsort(-probabilities, kind="stable")[: 1 + ALTERNATIVES]
    shares = None
    if attention is not None:
        read = attention[:, -len(asked.story) :]
        shares = np.zeros((len(attention), len(asked.story)), dtype="float32")
        shares[:, len(asked.story) - read.shape[1] :] = read
    return Answered(
        asked=asked,
        answer=vocabulary.answers[best],
        confidence=float(probabilities[best]),
        others=tuple((vocabulary.answers[n], float(probabilities[n])) for n in others),
        attention=shares,
        replaced=replaced,
    )
