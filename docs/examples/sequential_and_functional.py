"""The same network twice: as a Sequential model and in the functional API.

A Sequential model is a list of layers. The functional API calls each layer on the output of
another, so a network may also branch, join and share layers; for a plain chain both are the same.
With the same weights they give the same numbers, bit by bit.
"""

import keras
import numpy as np

sequential = keras.Sequential(
    [
        keras.Input((784,)),
        keras.layers.Dense(32, activation="sigmoid"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)

pixels = keras.Input((784,))
hidden = keras.layers.Dense(32, activation="sigmoid")(pixels)
digit = keras.layers.Dense(10, activation="softmax")(hidden)
functional = keras.Model(pixels, digit)

# Both have a kernel and a bias for each of two layers, in the same order.
functional.set_weights(sequential.get_weights())

batch = np.random.default_rng(0).uniform(size=(64, 784)).astype("float32")
one, other = (keras.ops.convert_to_numpy(model(batch)) for model in (sequential, functional))

np.testing.assert_array_equal(one, other)
assert sequential.count_params() == functional.count_params() == 784 * 32 + 32 + 32 * 10 + 10
print(f"{len(batch)} answers, {functional.count_params():,} parameters: identical")
