"""Compute kernels on arrays: compiled loops that know nothing of ranks, usable without MPI.

Every kernel is called as ``kernel(*shards, *params, out)``, *adds* into `out` and returns nothing.
"""

from .linear import linear_predictor, logistic, squared
from .reduce import max_into, min_into, prod_into, sum_into
from .simd import simd_level

__all__ = [
    "linear_predictor",
    "logistic",
    "max_into",
    "min_into",
    "prod_into",
    "simd_level",
    "squared",
    "sum_into",
]
