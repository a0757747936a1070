"""Prefect tasks: one thin wrapper per stage of the engine."""
