"""The words and answers that a network knows, and texts as the numbers that it reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[Any]]


@keras.saving.register_keras_serializable(package="regrow", name="Vocabulary")
class StoryVocabulary(keras.layers.Layer):  # type: ignore[misc]
    """Passes stories on unchanged, and keeps in the model's file what their numbers mean.

    Args:
        words: word n + 1 is `words[n]`; 0 is padding.
        answers: answer n is `answers[n]`. A list or a path is one answer, as in the paper.
        tasks: the bAbI tasks that the network was trained on.
    """

    def __init__(
        self, words: Sequence[str], answers: Sequence[str], tasks: Sequence[int], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.words, self.answers, self.tasks = list(words), list(answers), list(tasks)
        self._number = {word: n for n, word in enumerate(self.words, 1)}

    def call(self, story: Any) -> Any:
        """The story itself."""
        return story

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = ("words", "answers", "tasks")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def find_unknown(self, texts: Iterable[str]) -> list[str]:
        """The words of tokenised texts that the network does not know, in their order."""
        words = (word for text in texts for word in text.split())
        return list(dict.fromkeys(word for word in words if word not in self._number))

    def number_words(self, text: str) -> list[int]:
        """A tokenised text's words as numbers; those that are not known are left out."""
        return [self._number[word] for word in text.split() if word in self._number]

    def number_answers(self, answers: Iterable[str]) -> Array:
        """Answers as numbers, (answers,), int32; -1 for one that the network cannot give."""
        numbers = {answer: n for n, answer in enumerate(self.answers)}
        return np.array([numbers.get(answer, -1) for answer in answers], dtype="int32")


@dataclass(frozen=True)
class Sizes:
    """How much text a network reads: sentences of a story, words of a sentence and a question."""

    sentences: int
    sentence_words: int
    question_words: int


def collect_words(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The words of all stories and questions of a table, and its answers, both sorted."""
    texts = {sentence for story in frame["story"] for sentence in story} | set(frame["question"])
    words = {word for text in texts for word in text.split()}
    return sorted(words), sorted(set(frame["answer"]))


def measure_sizes(frame: pd.DataFrame, most_sentences: int, spare: float = 0.0) -> Sizes:
    """What a network must be able to read for a table; at most so many sentences.

    Args:
        spare: room for more sentences than the longest story has, as a share of it.
    """
    texts = {sentence for story in frame["story"] for sentence in story}
    longest = max(len(story) for story in frame["story"])
    return Sizes(
        max(1, min(most_sentences, math.ceil(longest * (1 + spare)))),
        max((len(text.split()) for text in texts), default=1),
        max(len(question.split()) for question in frame["question"]),
    )


def encode(
    stories: Sequence[Sequence[str]],
    questions: Sequence[str],
    vocabulary: StoryVocabulary,
    sizes: Sizes,
) -> dict[str, Array]:
    """Tokenised stories and questions as a network's inputs.

    The last sentence of each story is in the last row, so that a row says how long ago it was;
    older sentences than fit are left out, and so are words beyond a sentence's room.

    Returns:
        `story` (rows, sentences, sentence words) and `question` (rows, question words), int32.
    """
    story = np.zeros((len(stories), sizes.sentences, sizes.sentence_words), dtype="int32")
    question = np.zeros((len(stories), sizes.question_words), dtype="int32")
    known: dict[str, Array] = {}

    def number(text: str, room: int) -> Array:
        if text not in known:
            known[text] = np.array(vocabulary.number_words(text), dtype="int32")
        return known[text][:room]

    for row, (told, asked) in enumerate(zip(stories, questions, strict=True)):
        last = told[-sizes.sentences :]
        for place, text in enumerate(last, sizes.sentences - len(last)):
            numbers = number(text, sizes.sentence_words)
            story[row, place, : len(numbers)] = numbers
        numbers = number(asked, sizes.question_words)
        question[row, : len(numbers)] = numbers
    return {"story": story, "question": question}


def read_sizes(model: keras.Model) -> Sizes:
    """How much text a network reads, from its inputs."""
    story, question = model.get_layer("story"), model.get_layer("question")
    return Sizes(*story.batch_shape[1:], *question.batch_shape[1:])
