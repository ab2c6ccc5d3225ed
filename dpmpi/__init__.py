"""dpmpi: data parallelism on MPI clusters with ordinary NumPy arrays and compiled kernels."""

import importlib
from typing import TYPE_CHECKING, Any

from .collectives import AllreducePlan, Communicator, MismatchError, pairs, user_operator

if TYPE_CHECKING:
    from .engine import Engine
    from .training.fit import FitResult, fit
    from .training.partial_fit import partial_fit
    from .validation import split

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

# Imported when first used: a code that only wants the collectives starts sooner, on every one of its ranks.
_MODULES = {
    "Engine": "engine",
    "FitResult": "training.fit",
    "fit": "training.fit",
    "partial_fit": "training.partial_fit",
    "split": "validation",
}
_PARTS = ("data", "duplicates", "metrics", "model_file", "models", "prepare", "preprocess", "solvers", "summaries")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    if name in _PARTS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
