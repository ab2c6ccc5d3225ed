"""What every solver returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

# Called after each iteration with its number and the objective.
Callback = Callable[[int, float], None]


@dataclass(frozen=True)
class SolverResult:
    """The minimiser found.

    Attributes:
        x: the parameters, float64.
        loss: the objective there.
        n_iter: iterations taken.
        converged: whether the stopping rule was met rather than the iterations used up.
        message: why it stopped, in words.
        history: the objective after each iteration.
    """

    x: np.ndarray
    loss: float
    n_iter: int
    converged: bool
    message: str
    history: list[float] = field(default_factory=list)
