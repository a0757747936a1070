"""One layer, used twice: its weights are shared, and it learns from both uses.

Called on a second input, a layer does not make new weights. So two pictures are seen by the same
network, and a distance between what it makes of them is the same whichever comes first. This is the
heart of a Siamese network; regrow's model image-similarity is one at full size.
"""

import keras
import numpy as np

from regrow.layers import EuclideanDistance

keras.utils.set_random_seed(0)
shared = keras.layers.Dense(8, activation="relu")
first, second = keras.Input((64,)), keras.Input((64,))
distance = EuclideanDistance()([shared(first), shared(second)])
model = keras.Model([first, second], distance)

# One kernel and one bias, though there are two paths through the layer.
assert model.count_params() == 64 * 8 + 8

chance = np.random.default_rng(0)
a, b = chance.uniform(size=(2, 100, 64)).astype("float32")
forth, back = (keras.ops.convert_to_numpy(model(pair)) for pair in ([a, b], [b, a]))
np.testing.assert_allclose(forth, back, rtol=1e-5)

# Trained to call these pairs alike: both paths move the one kernel.
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
before = float(np.mean(forth))
model.fit([a, b], np.zeros((100, 1)), epochs=20, verbose=0)
after = float(np.mean(keras.ops.convert_to_numpy(model([a, b]))))
assert after < before / 2
print(f"mean distance before training {before:.3f}, after it {after:.3f}")
