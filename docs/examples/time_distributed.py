"""A trained model as a layer, on every step of a sequence.

A model is a layer, weights and all. `TimeDistributed` puts the same one on each step, so a network
that names one digit becomes one that names a row of them, with nothing trained again.
"""

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)
digits = load_digits()
x, x_test, y, y_test = train_test_split(
    digits.data.astype("float32") / 16, digits.target, test_size=0.25, random_state=0
)

pixels = keras.Input((64,))
hidden = keras.layers.Dense(64, activation="relu")(pixels)
name_one = keras.Model(pixels, keras.layers.Dense(10, activation="softmax")(hidden))
name_one.compile(optimizer=keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy")
name_one.fit(x, y, batch_size=32, epochs=12, verbose=0)

# A row of five digits: (rows, 5, 64) gives (rows, 5, 10).
row = keras.Input((5, 64))
name_row = keras.Model(row, keras.layers.TimeDistributed(name_one)(row))
assert name_row.count_params() == name_one.count_params()  # it is the same model, not a copy

rows = x_test[:450].reshape(90, 5, 64)
one_by_one = keras.ops.convert_to_numpy(name_one(x_test[:450]))
together = keras.ops.convert_to_numpy(name_row(rows))
np.testing.assert_allclose(together.reshape(450, 10), one_by_one, atol=1e-5)

accuracy = np.mean(together.argmax(axis=-1) == y_test[:450].reshape(90, 5))
whole_rows = np.mean((together.argmax(axis=-1) == y_test[:450].reshape(90, 5)).all(axis=1))
assert accuracy > 0.9
print(f"digits named rightly: {accuracy:.1%}; whole rows of five: {whole_rows:.1%}")
