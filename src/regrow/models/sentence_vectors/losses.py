"""What the networks learn from, as layers whose output is each sentence's loss.

Targets are looked up from ids inside the compiled step, so no array of word vectors or of words
counted is ever held for all sentences.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from regrow.text.vocabulary import PAD


@keras.saving.register_keras_serializable(package="regrow")
class ReconstructionError(keras.layers.Layer):  # type: ignore[misc]
    """The sum of a sentence's squared errors, over a number that is the same for all sentences.

    Args:
        scale: what is divided by.

    Call shapes: word vectors rebuilt and as they were, both (batch, words, size); gives (batch, 1).
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = float(scale)

    def call(self, rebuilt: Any, vectors: Any) -> Any:
        """The sentences' errors."""
        return ops.expand_dims(ops.sum(ops.square(rebuilt - vectors), axis=(1, 2)), -1) / self.scale

    def compute_output_shape(self, rebuilt_shape: Any, vectors_shape: Any) -> Any:
        """(batch, words, size) gives (batch, 1)."""
        return (rebuilt_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="regrow")
class ContextError(keras.layers.Layer):  # type: ignore[misc]
    """How unlikely a softmax over all words finds some words of the sentence's document; mean.

    As in the skip-gram model, but what is around a sentence is predicted from all of it.

    Args:
        words: how many there are.
        size: of the layer between, which keeps the softmax cheap.

    Call shapes: sentence vectors (batch, numbers) and ids of words (batch, chosen), padded; gives
    (batch, 1), zeros where there are no words.
    """

    def __init__(self, words: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words, self.size = words, size

    def build(self, sentences_shape: Any, context_shape: Any) -> None:
        """Makes the weights."""
        self.narrow = self.add_weight(shape=(sentences_shape[-1], self.size), name="narrow")
        self.kernel = self.add_weight(shape=(self.size, self.words), name="kernel")
        self.bias = self.add_weight(shape=(self.words,), initializer="zeros", name="bias")

    def call(self, sentences: Any, context: Any) -> Any:
        """The sentences' errors."""
        scores = ops.matmul(ops.matmul(sentences, self.narrow), self.kernel) + self.bias
        likely = ops.log_softmax(scores, axis=-1)
        chosen = ops.take_along_axis(likely, context, axis=1)
        mask = ops.cast(ops.not_equal(context, PAD), chosen.dtype)
        count = ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1.0)
        return -ops.sum(chosen * mask, axis=1, keepdims=True) / count

    def compute_output_shape(self, sentences_shape: Any, context_shape: Any) -> Any:
        """(batch, numbers) gives (batch, 1)."""
        return (sentences_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "words": self.words, "size": self.size}


@keras.saving.register_keras_serializable(package="regrow")  # type: ignore[untyped-decorator]
def take_mean(_expected: Any, found: Any) -> Any:
    """The mean of what a loss layer gives; nothing is expected beside it."""
    return ops.mean(found)
