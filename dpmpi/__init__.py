"""dpmpi: data parallelism on MPI clusters with ordinary NumPy arrays and compiled kernels."""

from .collectives import AllreducePlan, Communicator, MismatchError, pairs, user_operator
from .engine import Engine
from .fit import FitResult, fit
from .partial_fit import partial_fit
from .split import split

__version__ = "0.1.0"

__all__ = [
    "AllreducePlan",
    "Communicator",
    "Engine",
    "FitResult",
    "MismatchError",
    "__version__",
    "fit",
    "pairs",
    "partial_fit",
    "split",
    "user_operator",
]
