"""Fit a model: joins the engine, a model and a solver."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Dataset
from ..data.batches import check_seed
from ..engine import Engine
from ..models import MODELS
from ..preprocess import Coordinates
from ..solvers import SolverResult, lbfgs, sgd
from .problem import Problem, Spread, count_batches, take_batches
from .rows import find_rows

if TYPE_CHECKING:
    from ..data.augment import Augmentation

SOLVERS = ("lbfgs", "sgd")


@dataclass(frozen=True)
class FitState:
    """Where `dpmpi.partial_fit` goes on from.

    Attributes:
        intercept: whether the model has one.
        spread: of the columns seen so far, or of a sample of them: in units of these the steps are taken.
        velocity: (d,) or with an intercept (d + 1,), the last step, in units of coef and intercept.
        n_calls: calls of partial_fit so far.
    """

    intercept: bool
    spread: Spread
    velocity: np.ndarray
    n_calls: int = 0


@dataclass(frozen=True)
class FitResult:
    """A fitted model; the same bits on every rank.

    Attributes:
        model: "linear" or "logistic".
        solver: "lbfgs" or "sgd".
        coef: (d,) float64.
        intercept: float; 0.0 when none was fitted.
        loss: the objective reached, ``sum(w * loss) / sum(w) + l2/2 * coef @ coef``.
        n_iter: iterations (L-BFGS) or epochs (SGD) taken.
        converged: whether the stopping rule was met.
        message: why the solver stopped.
        history: objective after each iteration or epoch.
        l2: the penalty.
        classes: (2,) float64, the two labels in ascending order; None for regression.
        state: what `dpmpi.partial_fit` needs to go on; None where it is not known.
    """

    model: str
    solver: str
    coef: np.ndarray
    intercept: float
    loss: float
    n_iter: int
    converged: bool
    message: str
    history: list[float]
    l2: float
    classes: np.ndarray | None
    state: FitState | None = None

    def linear_predictor(self, X: Any) -> np.ndarray:
        """Return ``X @ coef + intercept`` (n,) float64 for X (n, d): dense, CSR, or a Dataset's rows on this rank."""
        from ..kernels import linear_predictor

        if isinstance(X, Dataset):
            return np.concatenate([np.zeros(0), *(self.linear_predictor(block.X) for block in X.blocks())])
        out = np.zeros(X.shape[0])
        linear_predictor(X, np.append(self.coef, self.intercept), out)
        return out

    def of_unscaled(self, scaling: Coordinates) -> FitResult:
        """The same model for rows that were not scaled; `scaling` as for `fit`."""
        raw = scaling.parameters(np.append(self.coef, self.intercept))
        return replace(self, coef=raw[:-1], intercept=float(raw[-1]), state=None)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted targets (n,): means for regression, labels out of `classes` for a classifier."""
        z = self.linear_predictor(X)
        if self.classes is None:
            return MODELS[self.model].mean(z)
        return self.classes[(z > 0).astype(np.intp)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability (n,) of ``classes[1]``. ValueError for a regression model."""
        if self.classes is None:
            raise ValueError(f"a {self.model} model has no classes and so no probabilities; use predict")
        return MODELS[self.model].mean(self.linear_predictor(X))


def fit(
    engine: Engine,
    model: str,
    X: Any,
    y: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
    l2: float = 0.0,
    solver: str = "lbfgs",
    *,
    fit_intercept: bool = True,
    tol: float | None = None,
    max_iter: int | None = None,
    batch_size: int = 256,
    learning_rate: float = 0.05,
    momentum: float = 0.9,
    seed: int = 0,
    augment: Sequence[Augmentation] = (),
    scaling: Coordinates | None = None,
    callback: Callable[[int, float], None] | None = None,
) -> FitResult:
    """Minimise ``sum(w * loss(y, X @ coef + intercept)) / sum(w) + l2/2 * coef @ coef``. Collective.

    Args:
        engine: the ranks.
        model: "linear" (half the squared error) or "logistic" (two classes).
        X: this rank's rows (n, d): array or SciPy CSR, float32 or float64; other real dtypes are converted. d and
            dtype the same on every rank, n any number, also none. Or a `dpmpi.data.Dataset` with the rows, targets and
            weights: loaded where it fits into its `max_memory`, else read anew at every pass.
        y: (n,) targets; for "logistic" any two numbers as labels, over all ranks.
        sample_weight: (n,) non-negative weights, or None on every rank.
        l2: penalty on coef, not on the intercept.
        solver: "lbfgs", or "sgd" on mini-batches of global rows, which takes the same steps (to rounding) on any
            number of ranks and from memory or files: of up to 2^18 rows over all ranks any may meet in a batch, of
            more, those in windows of 2^18 rows (see `dpmpi.data.windows`).
        fit_intercept: whether there is an intercept.
        tol: "lbfgs": largest gradient entry, in units of standardised columns (default 1e-8, for float32 data 1e-6);
            "sgd": relative change of the objective over an epoch (default 1e-5).
        max_iter: iterations (default 1000) or epochs (default 100) at most.
        batch_size, learning_rate, momentum, seed: of "sgd"; a batch counts the rows of all ranks, and the learning
            rate is that of standardised columns.
        augment: of "sgd": changes of each batch's rows at random, as `dpmpi.data.augment.Noise`; the objective is told
            of the rows as they are. They see X before any scaling.
        scaling: fit the model of ``(X - scaling.mean) / scaling.scale``, which is neither made nor stored: the scaling
            is folded into the coefficients that the kernel sees. Made by `preprocess.fold_scaling`; the same on
            every rank. The result's coef and intercept, and the penalty, are those of the scaled columns.
        callback: called on every rank after each iteration with its number and the objective.

    Returns:
        FitResult, equal bits on every rank.

    Raises (on every rank): ValueError or TypeError that names the argument, and the row (counted over all ranks from
        0) and column of a NaN or infinity; MismatchError when the ranks' arguments differ.
    """
    folded = None if scaling is None else digest(np.append(scaling.mean, scaling.scale))
    arguments = (
        model,
        l2,
        solver,
        fit_intercept,
        tol,
        max_iter,
        batch_size,
        learning_rate,
        momentum,
        seed,
        augment,
        folded,
    )
    rows_are = (
        "a Dataset" if isinstance(X, Dataset) else f"arrays, sample_weight {'not ' * (sample_weight is None)}given"
    )
    with engine.comm.together(f"fit{arguments} of {rows_are}"):
        check_model(model, l2)
        _check_solver(solver, tol, max_iter)
        check_steps(batch_size, learning_rate, momentum, seed)
        if augment and solver != "sgd":
            raise ValueError(f"augment changes mini-batches: it goes with solver 'sgd', not {solver!r}")
    chosen = MODELS[model]
    rows = find_rows(engine, X, y, sample_weight, chosen.classifier)
    if scaling is not None and not (scaling.intercept and len(scaling.mean) == rows.n_columns):
        raise ValueError(f"scaling must be of the {rows.n_columns} columns of X, and shift them")
    spread = Spread.measure(engine, rows.sample, fit_intercept, scaling)
    coordinates = spread.coordinates(l2 / chosen.curvature, fit_intercept)
    problem = Problem(engine, chosen, l2, rows, coordinates, scaling)
    start = np.zeros(rows.n_columns + fit_intercept)
    if solver == "lbfgs":
        default_tol, resolution = (1e-6, 1e-6) if rows.dtype == np.float32 else (1e-8, 1e-9)
        found = lbfgs(
            problem.objective,
            start,
            tol=default_tol if tol is None else tol,
            max_iter=max_iter or 1000,
            resolution=resolution,
            callback=callback,
        )
    else:
        found = _sgd(problem, start, batch_size, seed, augment, learning_rate, momentum, tol, max_iter, callback)
    parameters = coordinates.parameters(found.x)
    coef, intercept = split_parameters(engine, parameters, fit_intercept)
    return FitResult(
        model, solver, coef, intercept, found.loss, found.n_iter, found.converged, found.message, found.history, l2,
        rows.classes, FitState(fit_intercept, spread, np.zeros_like(parameters)),
    )  # fmt: skip


def split_parameters(engine: Engine, parameters: np.ndarray, intercept: bool) -> tuple[np.ndarray, float]:
    """Return coef and intercept of what every rank has found. Collective; MismatchError when they differ."""
    # Every rank took the same steps on the same bits; different libraries on different nodes would show here.
    engine.comm.agree(f"fit ending at {digest(parameters)}")
    return (parameters[:-1], float(parameters[-1])) if intercept else (parameters, 0.0)


def digest(parameters: np.ndarray) -> str:
    """A short text that tells different bits apart."""
    import hashlib

    return hashlib.blake2b(parameters.tobytes(), digest_size=16).hexdigest()


def _sgd(
    problem: Problem,
    start: np.ndarray,
    batch_size: int,
    seed: int,
    augment: Sequence[Augmentation],
    learning_rate: float,
    momentum: float,
    tol: float | None,
    max_iter: int | None,
    callback: Callable[[int, float], None] | None,
) -> SolverResult:
    rows = problem.rows
    coming: Iterator[Any] = iter(())

    def batch_gradient(epoch: int, batch: int, x: np.ndarray) -> np.ndarray:
        nonlocal coming
        if batch == 0:
            coming = take_batches(problem.engine, rows, batch_size, seed, epoch, augment)
        return problem.on_batch(coming, x)[1]

    return sgd(
        problem.objective,
        batch_gradient,
        start,
        n_batches=count_batches(rows, batch_size, seed),
        learning_rate=learning_rate,
        momentum=momentum,
        tol=1e-5 if tol is None else tol,
        max_iter=max_iter or 100,
        callback=callback,
    )


def check_model(model: str, l2: float) -> None:
    """Raise ValueError for a model that there is not, or a penalty that is none."""
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}; choose one of {', '.join(MODELS)}")
    if not (math.isfinite(l2) and l2 >= 0):
        raise ValueError(f"l2 must be a finite number, 0 or more, not {l2}")


def _check_solver(solver: str, tol: float | None, max_iter: int | None) -> None:
    if solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r}; choose one of {', '.join(SOLVERS)}")
    if tol is not None and not (math.isfinite(tol) and tol >= 0):
        raise ValueError(f"tol must be a finite number, 0 or more, not {tol}")
    if max_iter is not None and max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, not {max_iter}")


def check_steps(batch_size: int, learning_rate: float, momentum: float, seed: int) -> None:
    """Raise ValueError for what mini-batch steps cannot be taken with."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be a positive number, not {learning_rate}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be at least 0 and below 1, not {momentum}")
    check_seed(seed)
