"""Mini-batch stochastic gradient descent with momentum.

Source: B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Computational
Mathematics and Mathematical Physics 4 (1964) 1-17 (momentum).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .result import Callback, SolverResult


def step(x: np.ndarray, velocity: np.ndarray, gradient: np.ndarray, rate: float, momentum: float) -> None:
    """Take one step, in place: ``velocity = momentum * velocity - rate * gradient``, ``x = x + velocity``."""
    velocity *= momentum
    velocity -= rate * gradient
    x += velocity


def sgd(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    batch_gradient: Callable[[int, int, np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    n_batches: int,
    learning_rate: float,
    momentum: float,
    tol: float,
    max_iter: int,
    callback: Callback | None = None,
) -> SolverResult:
    """`step` against the gradient of one batch after another.

    Args:
        objective: value and gradient on all rows, asked once an epoch.
        batch_gradient: ``batch_gradient(epoch, batch, x)``, the objective's gradient on that batch.
        start: first parameters, float64.
        n_batches: batches in an epoch.
        learning_rate: step length; divided by ``sqrt(1 + epoch)``, so that the noise of the batches dies out.
        momentum: what a step keeps of the one before, 0 to below 1.
        tol: converged when an epoch changes the objective by no more than ``tol * |objective|``.
        max_iter: epochs at most.

    Raises ValueError when the objective is no longer finite.
    """
    x = start.copy()
    velocity = np.zeros_like(x)
    history: list[float] = []
    before = objective(x)[0]
    for epoch in range(max_iter):
        rate = learning_rate / math.sqrt(1 + epoch)
        for batch in range(n_batches):
            step(x, velocity, batch_gradient(epoch, batch, x), rate, momentum)
        loss = objective(x)[0]
        if not math.isfinite(loss):
            raise ValueError(
                f"SGD diverged in epoch {epoch + 1}: the loss is {loss}; lower learning_rate ({learning_rate}) "
                f"or momentum ({momentum})"
            )
        history.append(loss)
        if callback is not None:
            callback(epoch + 1, loss)
        if abs(before - loss) <= tol * abs(loss):
            message = f"an epoch changed the objective by less than {tol:.1e} of it"
            return SolverResult(x, loss, epoch + 1, True, message, history)
        before = loss
    return SolverResult(x, history[-1], max_iter, False, f"max_iter {max_iter} epochs done", history)
