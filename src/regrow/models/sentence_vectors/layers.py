"""The layers of the positional autoencoder, and the losses that both networks learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from regrow.text.vocabulary import PAD

TOPIC_BIAS = -0.5
# The vectors' length: then themes differ between documents by as much as the hidden layer's sums.
THEME_LENGTH = 15.0


@keras.saving.register_keras_serializable(package="regrow")
class WordTable(keras.layers.Layer):  # type: ignore[misc]
    """The words that a network knows, their vectors and weights, which are not trained.

    Args:
        words: by id, padding and the unknown word first.
        abbreviations: words that end with a period within a sentence, without it.
        length: how many words of a sentence are read at most.
        size: numbers in a word's vector.

    Call shape: ids (batch, words) gives vectors (batch, words, size), and how much each word weighs
    (batch, words): nothing for padding.
    """

    def __init__(
        self,
        words: Sequence[str],
        abbreviations: Sequence[str],
        length: int,
        size: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.words, self.abbreviations = list(words), list(abbreviations)
        self.length, self.size = length, size

    def build(self, _input_shape: Any) -> None:
        """Makes room for vectors and weights."""
        self.table = self.add_weight(
            shape=(len(self.words), self.size), initializer="zeros", trainable=False, name="table"
        )
        self.weight = self.add_weight(
            shape=(len(self.words),), initializer="ones", trainable=False, name="weight"
        )

    def call(self, ids: Any) -> tuple[Any, Any]:
        """The vectors and the weights of the words."""
        weight = ops.take(ops.convert_to_tensor(self.weight), ids, axis=0)
        present = ops.cast(ops.not_equal(ids, PAD), weight.dtype)
        return ops.take(ops.convert_to_tensor(self.table), ids, axis=0), weight * present

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, words) gives (batch, words, size) and (batch, words)."""
        return (*input_shape, self.size), input_shape

    def fill(self, table: Any, weight: Any) -> None:
        """Sets vectors (words, size) and weights (words,), above zero."""
        self.table.assign(table)
        self.weight.assign(weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = ("words", "abbreviations", "length", "size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="regrow")
class PositionalEncoder(keras.layers.Layer):  # type: ignore[misc]
    """Sentences as vectors that say what stands where, and what it is about.

    With the n word vectors v_t of a sentence,

        order = sum_t K_t v_t + c                   K_t: a matrix for each place
        topic = sum_t r_t relu(W v_t + b) / sqrt(n)   r_t: the less, the more documents have t

    A matrix for each place is what the principal components of padded sentences are made of, and
    on a CPU it costs a tenth of an LSTM of this size. The sum over words is what documents are told
    apart by: it stays a sum when sentences are joined. W begins with large weights and b below
    zero, so that each number answers to few words: then a linear classifier can still tell words
    apart that are alike (micro-F1 .845 on held-out training documents, where .2 for the weights and
    0 for b give .835).

    Args:
        length: places.
        order_size: numbers for what stands where.
        topic_size: numbers for what it is about.

    Call shapes: word vectors (batch, words, size) and weights (batch, words), at most `length` of
    them and zero for padding; gives (batch, order_size + topic_size), the order first.
    """

    def __init__(self, length: int, order_size: int, topic_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.order_size, self.topic_size = length, order_size, topic_size

    def build(self, vectors_shape: Any, weight_shape: Any) -> None:
        """Makes the weights."""
        size = vectors_shape[-1]
        # Some half of the places are filled.
        spread = keras.initializers.RandomNormal(stddev=(2 / (self.length * size)) ** 0.5)
        self.places = self.add_weight(
            shape=(self.length, size, self.order_size), initializer=spread, name="places"
        )
        self.order_bias = self.add_weight(
            shape=(self.order_size,), initializer="zeros", name="order_bias"
        )
        self.meaning = self.add_weight(
            shape=(size, self.topic_size),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="meaning",
        )
        self.topic_bias = self.add_weight(
            shape=(self.topic_size,),
            initializer=keras.initializers.Constant(TOPIC_BIAS),
            name="topic_bias",
        )

    def call(self, vectors: Any, weight: Any) -> Any:
        """The sentences' vectors."""
        words, size = ops.shape(vectors)[1], vectors.shape[-1]
        places = ops.reshape(self.places[:words], (words * size, self.order_size))
        order = ops.matmul(ops.reshape(vectors, (-1, words * size)), places) + self.order_bias
        meant = ops.relu(ops.matmul(vectors, self.meaning) + self.topic_bias)
        topic = ops.sum(meant * ops.expand_dims(weight, -1), axis=1)
        count = ops.sum(ops.cast(weight > 0, topic.dtype), axis=1, keepdims=True)
        topic = topic / ops.sqrt(ops.maximum(count, 1.0))
        return ops.concatenate([order, topic], axis=-1)

    def compute_output_shape(self, vectors_shape: Any, weight_shape: Any) -> Any:
        """(batch, words, size) gives (batch, order_size + topic_size)."""
        return (vectors_shape[0], self.order_size + self.topic_size)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = ("length", "order_size", "topic_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="regrow")
class Themes(keras.layers.Layer):  # type: ignore[misc]
    """What a sentence's words say of its document: the weighted sum of a trained vector of each.

        themes = sum_t r_t e_t / sqrt(n)                r_t: the less, the more documents have t

    The word vectors of the autoencoder are too short to tell corn from wheat; these may.

    Args:
        words: how many there are.
        size: numbers in a vector.

    Call shapes: ids and weights, both (batch, words); gives (batch, size).
    """

    def __init__(self, words: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words, self.size = words, size

    def build(self, ids_shape: Any, weight_shape: Any) -> None:
        """Makes the vectors."""
        shape = (self.words, self.size)
        spread = keras.initializers.RandomNormal(stddev=THEME_LENGTH / self.size**0.5)
        self.table = self.add_weight(shape=shape, initializer=spread, name="table")

    def call(self, ids: Any, weight: Any) -> Any:
        """The sums."""
        vectors = ops.take(ops.convert_to_tensor(self.table), ids, axis=0)
        total = ops.sum(vectors * ops.expand_dims(weight, -1), axis=1)
        count = ops.sum(ops.cast(weight > 0, total.dtype), axis=1, keepdims=True)
        return total / ops.sqrt(ops.maximum(count, 1.0))

    def compute_output_shape(self, ids_shape: Any, weight_shape: Any) -> Any:
        """(batch, words) gives (batch, size)."""
        return (ids_shape[0], self.size)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "words": self.words, "size": self.size}


@keras.saving.register_keras_serializable(package="regrow")
class PositionalDecoder(keras.layers.Layer):  # type: ignore[misc]
    """Word vectors out of a sentence's vector z: those of each place, mended by their neighbours.

    d_t = Q_t z + c_t is a first guess for each place; a convolution over five places, which knows
    what word vectors look like and what follows on what, adds its correction.

    Args:
        length: places.
        size: numbers in a word's vector.
        hidden_size: of the convolution.

    Call shapes: sentence vectors (batch, numbers) and the words' weights (batch, words), of which
    only counts whether they are zero; gives (batch, words, size), zeros where they are.
    """

    def __init__(self, length: int, size: int, hidden_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.size, self.hidden_size = length, size, hidden_size
        self.mend = keras.layers.Conv1D(hidden_size, 5, padding="same", activation="relu")
        self.correct = keras.layers.Dense(size)

    def build(self, sentences_shape: Any, weight_shape: Any) -> None:
        """Makes the weights."""
        numbers = sentences_shape[-1]
        self.places = self.add_weight(
            shape=(self.length * self.size, numbers),
            initializer=keras.initializers.RandomNormal(stddev=0.5 / numbers**0.5),
            name="places",
        )
        self.bias = self.add_weight(
            shape=(self.length * self.size,), initializer="zeros", name="bias"
        )
        self.mend.build((None, None, self.size))
        self.correct.build((None, None, self.hidden_size))

    def call(self, sentences: Any, weight: Any) -> Any:
        """The word vectors."""
        words = ops.shape(weight)[1]
        end = words * self.size
        guess = ops.matmul(sentences, ops.transpose(self.places[:end])) + self.bias[:end]
        mask = ops.expand_dims(ops.cast(weight > 0, guess.dtype), -1)
        guess = ops.reshape(guess, (-1, words, self.size)) * mask
        return (guess + self.correct(self.mend(guess))) * mask

    def compute_output_shape(self, sentences_shape: Any, weight_shape: Any) -> Any:
        """(batch, words) gives (batch, words, size)."""
        return (*weight_shape, self.size)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = ("length", "size", "hidden_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
