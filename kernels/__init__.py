"""Compute kernels on arrays: compiled loops that know nothing of ranks, usable without MPI.

Every kernel is called as ``kernel(*shards, *params, out)``, *adds* into `out` and returns nothing.
"""

from typing import TYPE_CHECKING, Any

from .blas import (
    covariance,
    dense_backward,
    dense_backward_inputs,
    dense_forward,
    gram,
    kmeans,
    nearest_distance,
)
from .bootstrap import bootstrap_sums
from .columns import column_max, column_min, histogram, quantile_sketch, sketch_quantile, sketch_size
from .groups import group_count, group_max, group_min, group_moments, group_sum
from .linear import (
    curvature,
    gamma,
    hessian_vector,
    huber,
    linear_predictor,
    logistic,
    loss_value,
    pinball,
    poisson,
    squared,
    squared_hinge,
    tweedie,
)
from .moments import moments
from .reduce import max_into, min_into, prod_into, sum_into
from .simd import simd_level
from .softmax import softmax
from .threads import in_threads

if TYPE_CHECKING:
    from .custom import loss


__all__ = [
    "bootstrap_sums",
    "column_max",
    "column_min",
    "covariance",
    "curvature",
    "dense_backward",
    "dense_backward_inputs",
    "dense_forward",
    "gamma",
    "gram",
    "group_count",
    "group_max",
    "group_min",
    "group_moments",
    "group_sum",
    "hessian_vector",
    "histogram",
    "huber",
    "in_threads",
    "kmeans",
    "linear_predictor",
    "logistic",
    "loss",
    "loss_value",
    "max_into",
    "min_into",
    "moments",
    "nearest_distance",
    "pinball",
    "poisson",
    "prod_into",
    "quantile_sketch",
    "simd_level",
    "sketch_quantile",
    "sketch_size",
    "softmax",
    "squared",
    "squared_hinge",
    "sum_into",
    "tweedie",
]


def __getattr__(name: str) -> Any:
    """Import what compiles users' losses when it is first asked for: few need it."""
    if name == "loss":
        from .custom import loss

        return loss
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
