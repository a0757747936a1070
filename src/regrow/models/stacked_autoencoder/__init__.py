"""Digits in eight numbers: an autoencoder that is trained layer by layer."""
