"""Data parallelism on MPI clusters with ordinary NumPy arrays."""

__version__ = "0.1.0"
