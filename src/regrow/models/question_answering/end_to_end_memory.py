"""End-To-End Memory Networks: attention over sentences, hop after hop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from regrow.models.question_answering.counting import count_words, embed_counts

# Stands for minus infinity in a softmax, without its NaN where no sentence is present.
NOWHERE = -1e9


@keras.saving.register_keras_serializable(package="regrow")
class EndToEndMemory(keras.layers.Layer):  # type: ignore[misc]
    """An End-To-End Memory Network. S. Sukhbaatar and others (2015), arXiv:1503.08895.

    Each hop attends to the sentences by the question's vector u, and adds what it finds:

        p_i = softmax(u . m_i)      m_i = sum over words of A + T_A(age of sentence i)
        u' = u + sum_i p_i c_i      c_i = sum over words of C + T_C(age of sentence i)

    Tying: "adjacent" takes each hop's C for the next hop's A, the first A for the question and the
    last C for the answers; "layer-wise" has the same A and C in all hops, and u' = H u + o.

    Noise in time (section 4.1): while training, empty memories slip in between the sentences, each
    with the probability `time_noise`. All that they do is make the older sentences older still, so
    it is ages that are moved here, not sentences.

    Args:
        vocabulary_size: how many words there are.
        answers: for each answer the number of the word that it is, or 0 if it is several.
        size: the length of the vectors.
        hops: how often the memory is read.
        tying: which embeddings are the same.
        position_encoding: whether the order of words in a sentence counts.
        time_noise: the share of empty memories.
        rectified: whether half of u goes through a ReLU after each hop but the last.

    Call shapes: story (batch, sentences, words), question (batch, words), both of whole numbers
    with 0 for padding; gives scores of the answers before the softmax (batch, answers), and the
    attention p (batch, hops, sentences). The weight `linear` at 1 leaves the softmax out (linear
    start).
    """

    def __init__(
        self,
        vocabulary_size: int,
        answers: Sequence[int],
        size: int = 50,
        hops: int = 3,
        tying: Literal["adjacent", "layer-wise"] = "adjacent",
        position_encoding: bool = True,
        time_noise: float = 0.1,
        rectified: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.answers, self.size = vocabulary_size, list(answers), size
        self.hops, self.tying, self.position_encoding = hops, tying, position_encoding
        self.time_noise, self.rectified = time_noise, rectified
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, story_shape: Any, question_shape: Any) -> None:
        """Makes the weights: drawn with the paper's standard deviation of 0.1."""

        def weight(name: str, *shape: int) -> Any:
            near = keras.initializers.RandomNormal(stddev=0.1)
            return self.add_weight(shape=shape, initializer=near, name=name)

        adjacent = self.tying == "adjacent"
        count = self.hops + 1 if adjacent else 2
        self.embeddings = [
            weight(f"embedding_{n}", self.vocabulary_size, self.size) for n in range(count)
        ]
        self.times = [weight(f"time_{n}", story_shape[1], self.size) for n in range(count)]
        if not adjacent:
            self.question_embedding = weight("question", self.vocabulary_size, self.size)
            self.mapping = weight("mapping", self.size, self.size)
        self.answer_vectors = weight("answers", len(self.answers), self.size)
        self.linear = self.add_weight(shape=(), initializer="zeros", trainable=False, name="linear")

    def call(self, story: Any, question: Any, training: bool = False) -> tuple[Any, Any]:
        """The scores of the answers and the attention of each hop."""
        counted, asked = (
            count_words(ids, self.vocabulary_size, position_encoding=self.position_encoding)
            for ids in (story, question)
        )
        ages, present = self._find_ages(story, training)
        memories = [
            embed_counts(counted, words) + ops.matmul(ages, times)
            for words, times in zip(self.embeddings, self.times, strict=True)
        ]
        adjacent = self.tying == "adjacent"
        u = embed_counts(asked, self.embeddings[0] if adjacent else self.question_embedding)
        attention = []
        for hop in range(self.hops):
            match, content = memories[hop : hop + 2] if adjacent else memories
            p = self._attend(ops.squeeze(ops.matmul(match, ops.expand_dims(u, -1)), -1), present)
            attention.append(p)
            found = ops.squeeze(ops.matmul(ops.expand_dims(p, 1), content), 1)
            u = found + (u if adjacent else ops.matmul(u, self.mapping))
            if self.rectified and hop < self.hops - 1:
                plain, bent = ops.split(u, [self.size // 2], axis=-1)
                u = ops.concatenate([plain, ops.relu(bent)], axis=-1)
        return ops.matmul(u, ops.transpose(self._tie_answers())), ops.stack(attention, axis=1)

    def _find_ages(self, story: Any, training: bool) -> tuple[Any, Any]:
        """How old each sentence is, as one-hot rows, and which are there."""
        sentences = story.shape[1]
        present = ops.any(story > 0, axis=-1)
        ages = ops.broadcast_to(
            ops.arange(sentences - 1, -1, -1, dtype="int32"), ops.shape(present)
        )
        if training and self.time_noise:
            draws = keras.random.uniform(ops.shape(present), seed=self.seed_generator)
            empty = ops.cast(draws < self.time_noise, "int32")
            ages = ages + ops.flip(ops.cumsum(ops.flip(empty, 1), axis=1), 1)
        reach = self.times[0].shape[0]
        hits = ops.expand_dims(ages, -1) == ops.arange(reach, dtype="int32")
        # What noise makes older than the memory reaches back is forgotten.
        return ops.cast(hits, "float32"), ops.logical_and(present, ages < reach)

    def _attend(self, scores: Any, present: Any) -> Any:
        softmax = ops.softmax(ops.where(present, scores, NOWHERE), axis=-1)
        p = self.linear * scores + (1 - self.linear) * softmax
        return ops.where(present, p, 0.0)

    def _tie_answers(self) -> Any:
        """The answers' vectors (answers, size): rows of the last C for answers that are a word."""
        own = ops.convert_to_tensor(self.answer_vectors)
        if self.tying != "adjacent":
            return own
        numbers = ops.convert_to_tensor(self.answers, dtype="int32")
        tied = ops.take(self.embeddings[-1], ops.maximum(numbers - 1, 0), axis=0)
        return ops.where(ops.expand_dims(numbers > 0, -1), tied, own)

    def compute_output_shape(self, story_shape: Any, question_shape: Any) -> Any:
        """Of the scores and of the attention."""
        batch, sentences = story_shape[:2]
        return (batch, len(self.answers)), (batch, self.hops, sentences)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = (
            *("vocabulary_size", "answers", "size", "hops", "tying"),
            *("position_encoding", "time_noise", "rectified"),
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
