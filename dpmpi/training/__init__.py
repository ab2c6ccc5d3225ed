"""Fit models: join the engine, the rows, a model and a solver."""
