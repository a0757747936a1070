"""Sentence vectors: Reuters' news, and an autoencoder that turns its sentences into vectors."""
