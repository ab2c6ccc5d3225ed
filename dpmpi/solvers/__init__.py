"""How a model is fitted: functions of the objective. They know nothing of ranks."""

from .lbfgs import lbfgs
from .result import SolverResult
from .sgd import sgd, step

__all__ = ["SolverResult", "lbfgs", "sgd", "step"]
