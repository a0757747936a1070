"""Pipelines that train, check and publish Keras models, and train them again when data changes."""
