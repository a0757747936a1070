"""The chapter's network: one look at the story, word by word."""

from __future__ import annotations

from typing import Any

from keras import layers

SIZE, UNITS, DROPOUT = 64, 32, 0.3


def build_book(
    story: Any, question: Any, words: int, answers: int, *, dropout: float = DROPOUT
) -> Any:
    """The scores of the answers (batch, answers). Gulli and Pal (2017), chapter 7.

    Each word of the story is matched with each of the question; a second embedding of the story
    is added to that, and an LSTM reads it along the question. A story is the words of its sentences
    one after another; where the chapter has a full stop, a shorter sentence's padding stands.

    Args:
        story: (batch, sentences, words), whole numbers, 0 is padding.
        question: (batch, question words), likewise.
        words: how many words there are.
        answers: how many answers there are; the chapter has one for each word.
        dropout: of embeddings and of what the LSTM gives.
    """
    length, question_length = story.shape[1] * story.shape[2], question.shape[1]
    flat = layers.Reshape((length,))(story)

    def embed(x: Any, size: int) -> Any:
        return layers.Dropout(dropout)(layers.Embedding(words + 1, size)(x))

    asked = embed(question, SIZE)
    match = layers.Dot(axes=2)([embed(flat, SIZE), asked])  # (batch, story, question words)
    response = layers.Add()([match, embed(flat, question_length)])
    both = layers.Concatenate()([layers.Permute((2, 1))(response), asked])
    return layers.Dense(answers)(layers.Dropout(dropout)(layers.LSTM(UNITS)(both)))
