"""Limited-memory BFGS on the full gradient.

Source: D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
Programming 45 (1989) 503-528; the implementation is SciPy's L-BFGS-B.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .result import Callback, SolverResult

MEMORY = 20  # pairs kept: a pair costs two vectors, an iteration a pass over the data


def lbfgs(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    resolution: float = 1e-9,
    callback: Callback | None = None,
) -> SolverResult:
    """Minimise `objective`, which returns its value and gradient (float64, shape of `start`).

    Converged when the largest absolute entry of the gradient is at most `tol`, or when no lower value can be found
    after iterations that changed the objective by no more than `resolution` of it, the rounding to be expected there.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    history: list[float] = []

    def after_iteration(intermediate_result: object) -> None:
        history.append(float(intermediate_result.fun))  # type: ignore[attr-defined]
        if callback is not None:
            callback(len(history), history[-1])

    # The solver's own vectors are short: a BLAS thread more would only take a core from another rank.
    with threadpool_limits(1, user_api="blas"):
        found = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=after_iteration,
            options={
                "gtol": tol,
                "ftol": np.finfo(float).eps,
                "maxiter": max_iter,
                "maxfun": 20 * max_iter,
                "maxls": 50,
                "maxcor": MEMORY,
            },
        )
    gradient = float(np.max(np.abs(found.jac), initial=0.0))
    if gradient <= tol:
        converged, message = True, f"largest gradient entry {gradient:.1e} <= tol {tol:.1e}"
    elif found.nit < max_iter and found.nfev < 20 * max_iter:
        # Neither limit was met, so the line search finds nothing lower: the objective is flat to rounding.
        converged = _is_flat(history, resolution)
        message = f"the objective can be lowered no further (largest gradient entry {gradient:.1e})"
    else:
        converged, message = False, f"max_iter {max_iter} reached (largest gradient entry {gradient:.1e})"
    return SolverResult(found.x, float(found.fun), int(found.nit), converged, message, history)


def _is_flat(history: list[float], resolution: float) -> bool:
    last = history[-2:]
    return len(last) == 2 and max(last) - min(last) <= resolution * abs(last[-1])
