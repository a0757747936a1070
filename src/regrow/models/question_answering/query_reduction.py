"""Query-reduction networks: each sentence changes what is asked, from the first to the last."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from regrow.models.question_answering.counting import count_words, embed_counts

# Gates that start nearly closed let the first sentences of a long story reach its end: with open
# ones task 2 stays at 35 % of errors.
UPDATE_BIAS = -2.5


@keras.saving.register_keras_serializable(package="regrow")
class QueryReduction(keras.layers.Layer):  # type: ignore[misc]
    """A query-reduction network. M. Seo and others (2016), arXiv:1606.04582.

    In each layer every sentence x_t of the story meets the query q_t:

        z_t = sigmoid(W_z (x_t * q_t) + b_z)    how much the sentence changes the query
        r_t = sigmoid(W_r (x_t * q_t) + b_r)    how much of the change is kept
        c_t = tanh(W_c [x_t; q_t] + b_c)        what the query would become
        h_t = z_t r_t c_t + (1 - z_t) h_(t-1)

    In all layers but the last a second cell goes from the last sentence to the first, and the sum
    of both is the next layer's q_t. The answer is read from the last h_t of the last layer.
    Projected, the gates see `(U x_t) * (V q_t)`: that finds chains of comparisons (task 18), and
    overfits elsewhere.

    No h_t is needed to compute z, r and c, so a layer is a few products over all sentences at once
    and a scan whose number of steps is the logarithm of the number of sentences.

    Args:
        vocabulary_size: how many words there are.
        answers: how many answers there are.
        size: the length of the vectors.
        depth: layers, at least 1: how many sentences can be combined in any order.
        gates: one number for z_t and r_t ("scalar"), or one for each of the vector's ("vector").
        projected: whether sentence and query are projected before they are matched.
        dropout: share of each story's vectors that is left out while training.

    Call shapes: story (batch, sentences, words), question (batch, words), both of whole numbers
    with 0 for padding; gives scores of the answers before the softmax (batch, answers), and the
    weights of the sentences (batch, depth, sentences): by how much each made up the last h_t of
    each layer.
    """

    def __init__(
        self,
        vocabulary_size: int,
        answers: int,
        size: int = 50,
        depth: int = 2,
        gates: Literal["scalar", "vector"] = "scalar",
        projected: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.answers, self.size = vocabulary_size, answers, size
        self.depth, self.gates, self.projected, self.dropout = depth, gates, projected, dropout
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, story_shape: Any, question_shape: Any) -> None:
        """Makes the weights."""
        size, width = self.size, 1 if self.gates == "scalar" else self.size

        def weight(name: str, *shape: int, initializer: Any = "glorot_uniform") -> Any:
            return self.add_weight(shape=shape, initializer=initializer, name=name)

        near = keras.initializers.RandomNormal(stddev=size**-0.5)
        self.embedding = weight("embedding", self.vocabulary_size, size, initializer=near)
        projections = {"sentence": (size, size), "query": (size, size)} if self.projected else {}
        self.cells = [
            {
                **{part: weight(f"{way}_{n}_{part}", *of) for part, of in projections.items()},
                "gates": weight(f"{way}_{n}_gates", size, 2 * width),
                "gate_bias": weight(f"{way}_{n}_gate_bias", 2 * width, initializer="zeros"),
                "change": weight(f"{way}_{n}_change", 2 * size, size),
                "change_bias": weight(f"{way}_{n}_change_bias", size, initializer="zeros"),
            }
            for n in range(self.depth)
            for way in (("forward",) if n == self.depth - 1 else ("forward", "backward"))
        ]
        self.output_kernel = weight("output", size, self.answers)

    def call(self, story: Any, question: Any, training: bool = False) -> tuple[Any, Any]:
        """The scores of the answers and the weights of the sentences."""
        counted = [
            count_words(ids, self.vocabulary_size, position_encoding=True)
            for ids in (story, question)
        ]
        x, asked = (embed_counts(counts, self.embedding) for counts in counted)
        present = ops.expand_dims(ops.any(story > 0, axis=-1), -1)  # (batch, sentences, 1)
        query = ops.broadcast_to(ops.expand_dims(asked, 1), ops.shape(x))
        if training and self.dropout:
            # The same for all sentences of a story, or they could make up for each other's gaps.
            x = x * keras.random.dropout(
                ops.ones_like(x[:, :1]), self.dropout, seed=self.seed_generator
            )
        weights = []
        for n in range(self.depth - 1):
            forward, backward = self.cells[2 * n : 2 * n + 2]
            log_keep, update, change = self._propose(forward, x, query, present)
            weights.append(ops.mean(_share_of_last(log_keep, update), axis=-1))
            there = scan_linear(ops.exp(log_keep), update * change)
            log_keep, update, change = self._propose(backward, x, query, present)
            query = there + scan_linear(ops.exp(log_keep), update * change, backward=True)
        log_keep, update, change = self._propose(self.cells[-1], x, query, present)
        share = _share_of_last(log_keep, update)
        weights.append(ops.mean(share, axis=-1))
        state = ops.sum(share * change, axis=1)
        if training and self.dropout:
            state = keras.random.dropout(state, self.dropout, seed=self.seed_generator)
        return ops.matmul(state, self.output_kernel), ops.stack(weights, axis=1)

    def _propose(self, cell: dict[str, Any], x: Any, query: Any, present: Any) -> tuple[Any, ...]:
        """For each sentence log(1 - z), z and r c; padding changes nothing."""
        match = x * query
        if self.projected:
            match = ops.matmul(x, cell["sentence"]) * ops.matmul(query, cell["query"])
        gates = ops.matmul(match, cell["gates"]) + cell["gate_bias"]
        update, reset = ops.split(gates, 2, axis=-1)
        log_keep = ops.where(present, ops.log_sigmoid(-(update + UPDATE_BIAS)), 0.0)
        both = ops.concatenate([x, query], axis=-1)
        change = ops.tanh(ops.matmul(both, cell["change"]) + cell["change_bias"])
        return log_keep, 1 - ops.exp(log_keep), ops.sigmoid(reset) * change

    def compute_output_shape(self, story_shape: Any, question_shape: Any) -> Any:
        """Of the scores and of the weights."""
        return (story_shape[0], self.answers), (story_shape[0], self.depth, story_shape[1])

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = ("vocabulary_size", "answers", "size", "depth", "gates", "projected", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def scan_linear(keep: Any, new: Any, *, backward: bool = False) -> Any:
    """`h_t = keep_t h_(t-1) + new_t` for all t, from h = 0, along the second axis.

    In log2(steps) rounds over the whole arrays: W. D. Hillis and G. L. Steele, Data parallel
    algorithms, Communications of the ACM 29 (1986). (`keras.ops.associative_scan` loses the shape
    of an odd number of steps on TensorFlow in Keras 3.15.)

    Args:
        keep: (batch, steps, size or 1).
        new: (batch, steps, size).
        backward: from the last step to the first: `h_t = keep_t h_(t+1) + new_t`.

    Returns:
        All h_t, (batch, steps, size).
    """
    steps, shift = new.shape[1], 1
    while shift < steps:
        new = new + keep * _shift(new, shift, backward)
        keep = keep * _shift(keep, shift, backward)
        shift *= 2
    return new


def _shift(x: Any, by: int, backward: bool) -> Any:
    """The values of `by` steps ago (or ahead), zeros where there are none."""
    steps = x.shape[1]
    if backward:
        return ops.pad(x[:, by:], [(0, 0), (0, by), (0, 0)])
    return ops.pad(x[:, : steps - by], [(0, 0), (by, 0), (0, 0)])


def _share_of_last(log_keep: Any, update: Any) -> Any:
    """By how much each step's value is in the last one: `z_t` times all later `1 - z`."""
    so_far = ops.cumsum(log_keep, axis=1)
    return update * ops.exp(so_far[:, -1:] - so_far)
