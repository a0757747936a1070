"""Sentence vectors: the Reuters newswire, and an autoencoder that turns its sentences into vectors."""
