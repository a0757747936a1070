"""Seeds, and the switches that make a training the same bits on every run."""

from __future__ import annotations

import random

import keras
from keras.src.random import seed_generator


def set_seed(seed: int, *, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and the backend; one training a process, as these are global."""
    keras.utils.set_random_seed(seed)
    # Keras draws the seeds of layers and initializers from Python's generator, which other threads
    # use as well: those of Prefect, to wait for a random time. This one has the same numbers.
    seed_generator.python_random = random.Random(seed)
    if deterministic:
        make_deterministic()


def release_seed() -> None:
    """Ends `set_seed`: Keras draws from Python's generator again, as the caller's code expects."""
    seed_generator.python_random = random


def make_deterministic() -> None:
    """Makes the backend's operations give the same bits each time; cannot be undone."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)
