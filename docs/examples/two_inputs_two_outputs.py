"""Two inputs and two outputs in one network.

The upper and the lower half of a digit come in by two inputs and meet in the middle; the network
says which digit it is, and how many pixels its ink would fill. Each output has its own loss, and
`loss_weights` says how much each counts. Inputs and outputs go by name.
"""

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)
digits = load_digits()
train, test = train_test_split(np.arange(len(digits.data)), test_size=0.25, random_state=0)
data = digits.data.astype("float32") / 16
inputs = {"upper": data[:, :32], "lower": data[:, 32:]}
targets = {"digit": digits.target, "ink": data.sum(axis=1, keepdims=True)}


def take(arrays, rows):
    """The rows of each array, by name."""
    return {name: array[rows] for name, array in arrays.items()}


upper = keras.Input((32,), name="upper")
lower = keras.Input((32,), name="lower")
joined = keras.layers.Concatenate()(
    [keras.layers.Dense(32, activation="relu")(half) for half in (upper, lower)]
)
hidden = keras.layers.Dense(64, activation="relu")(joined)
model = keras.Model(
    {"upper": upper, "lower": lower},
    {
        "digit": keras.layers.Dense(10, activation="softmax", name="digit")(hidden),
        "ink": keras.layers.Dense(1, name="ink")(hidden),
    },
)
model.compile(
    optimizer=keras.optimizers.Adam(0.005),
    loss={"digit": "sparse_categorical_crossentropy", "ink": "mse"},
    loss_weights={"digit": 1.0, "ink": 0.1},
)
model.fit(take(inputs, train), take(targets, train), batch_size=32, epochs=15, verbose=0)

answers = model.predict(take(inputs, test), verbose=0)
accuracy = np.mean(answers["digit"].argmax(axis=1) == targets["digit"][test])
error = np.sqrt(np.mean((answers["ink"] - targets["ink"][test]) ** 2))
spread = targets["ink"][test].std()
assert accuracy > 0.9
assert error < spread / 2
print(
    f"digits: {accuracy:.1%} right; ink: off by {error:.2f} pixels, where it varies by {spread:.2f}"
)
