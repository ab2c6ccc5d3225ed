"""Compute kernels on arrays: compiled loops that know nothing of ranks, usable without MPI.

Every kernel is called as ``kernel(*shards, *params, out)``, *adds* into `out` and returns nothing.
"""

from .reference import max_into, min_into, prod_into, sum_into

__all__ = ["max_into", "min_into", "prod_into", "sum_into"]
