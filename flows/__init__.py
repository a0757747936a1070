"""Prefect flows: what is deployed, scheduled and triggered. One module per pipeline."""
