"""Fit a model: joins the engine, a model and a solver."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .data import Dataset
from .data.batches import Batches
from .data.windows import Windows
from .engine import Engine
from .models import MODELS, Model
from .preprocess import Coordinates, column_squares, column_sums
from .solvers import SolverResult, lbfgs, sgd
from .training_rows import TrainingRows, check_arrays, survey

SOLVERS = ("lbfgs", "sgd")
WINDOW_ROWS = 1 << 18  # rows of all ranks that sgd takes its batches from while it streams


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

    def linear_predictor(self, X: Any) -> np.ndarray:
        """Return ``X @ coef + intercept`` (n,) float64 for X (n, d): dense, CSR, or a Dataset's rows on this rank."""
        from .kernels import linear_predictor

        if isinstance(X, Dataset):
            return np.concatenate([np.zeros(0), *(self.linear_predictor(block.X) for block in X.blocks())])
        out = np.zeros(X.shape[0])
        linear_predictor(X, np.append(self.coef, self.intercept), out)
        return out

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
    callback: Callable[[int, float], None] | None = None,
) -> FitResult:
    """Minimise ``sum(w * loss(y, X @ coef + intercept)) / sum(w) + l2/2 * coef @ coef``. Collective.

    Args:
        engine: the ranks.
        model: "linear" (half the squared error) or "logistic" (two classes).
        X: this rank's rows (n, d): array or SciPy CSR, float32 or float64; other real dtypes are converted. d and
            dtype the same on every rank, n any number, also none. Or a `dpmpi.data.Dataset` with the rows, targets and
            weights: loaded where it fits into its `max_memory`, else read anew at every pass ("sgd" then takes its
            batches out of windows of rows, see `dpmpi.data.windows`).
        y: (n,) targets; for "logistic" any two numbers as labels, over all ranks.
        sample_weight: (n,) non-negative weights, or None on every rank.
        l2: penalty on coef, not on the intercept.
        solver: "lbfgs", or "sgd" on mini-batches of global rows, which takes the same steps (to rounding) on any
            number of ranks.
        fit_intercept: whether there is an intercept.
        tol: "lbfgs": largest gradient entry, in units of standardised columns (default 1e-8, for float32 data 1e-6);
            "sgd": relative change of the objective over an epoch (default 1e-5).
        max_iter: iterations (default 1000) or epochs (default 100) at most.
        batch_size, learning_rate, momentum, seed: of "sgd"; a batch counts the rows of all ranks, and the learning
            rate is that of standardised columns.
        callback: called on every rank after each iteration with its number and the objective.

    Returns:
        FitResult, equal bits on every rank.

    Raises (on every rank): ValueError or TypeError that names the argument, and the row (counted over all ranks from
        0) and column of a NaN or infinity; MismatchError when the ranks' arguments differ.
    """
    arguments = (model, l2, solver, fit_intercept, tol, max_iter, batch_size, learning_rate, momentum, seed)
    rows_are = (
        "a Dataset" if isinstance(X, Dataset) else f"arrays, sample_weight {'not ' * (sample_weight is None)}given"
    )
    with engine.comm.together(f"fit{arguments} of {rows_are}"):
        _check_arguments(model, l2, solver, tol, max_iter, batch_size, learning_rate, momentum, seed)
    if isinstance(X, Dataset) and X.fits:
        table = X.load()
        X, y, sample_weight = table.X, table.y, table.sample_weight
    chosen = MODELS[model]
    if isinstance(X, Dataset):
        rows = survey(engine, X, chosen.classifier)
    else:
        rows = check_arrays(engine, X, y, sample_weight, chosen.classifier)
    problem = _Problem(engine, chosen, rows, l2, fit_intercept)
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
        found = _sgd(problem, start, batch_size, seed, learning_rate, momentum, tol, max_iter, callback)
    parameters = problem.coordinates.parameters(found.x)
    # Every rank took the same steps on the same bits; different libraries on different nodes would show here.
    engine.comm.agree(f"fit ending at {hashlib.blake2b(parameters.tobytes(), digest_size=16).hexdigest()}")
    coef, intercept = (parameters[:-1], float(parameters[-1])) if fit_intercept else (parameters, 0.0)
    return FitResult(
        model, solver, coef, intercept, found.loss, found.n_iter, found.converged, found.message, found.history, l2,
        rows.classes,
    )  # fmt: skip


class _Problem:
    """The penalised mean objective as a function of standardised parameters."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        rows: TrainingRows,
        l2: float,
        fit_intercept: bool,
    ) -> None:
        self.engine, self.model, self.rows, self.l2 = engine, model, rows, l2
        self.coordinates = _coordinates(engine, rows, l2 / model.curvature, fit_intercept)
        # loss, gradient, sum of weights: one all-reduce a step
        self.out = np.zeros(1 + rows.n_columns + fit_intercept + 1)

    def objective(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        return self._evaluate(self.rows.shards, x, self.rows.total_weight)

    def on_batch(self, coming: Iterator[Any], x: np.ndarray) -> np.ndarray:
        """Return the gradient on the next batch, of which this rank holds what comes next."""
        try:
            shards = tuple(next(coming))
        except Exception as error:  # a file that went bad
            self.engine.comm.fail(error)
        return self._evaluate(shards, x, None)[1]

    def _evaluate(self, shards: Any, x: np.ndarray, total: float | None) -> tuple[float, np.ndarray]:
        parameters = self.coordinates.parameters(x)
        out = self.engine.reduce(_weighted_loss, shards, self.model.loss, parameters, out=self.out)
        total = out[-1] if total is None else total
        if total > 0:  # else a batch of zero weights: only the penalty counts
            out /= total
        coef = parameters[: self.rows.n_columns]
        loss = float(out[0]) + 0.5 * self.l2 * float(coef @ coef)
        gradient = out[1:-1].copy()
        gradient[: self.rows.n_columns] += self.l2 * coef
        return loss, self.coordinates.gradient(gradient)


def _weighted_loss(
    X: Any,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    loss: Callable[..., None],
    coef: np.ndarray,
    out: np.ndarray,
) -> None:
    loss(X, y, sample_weight, coef, out[:-1])
    out[-1] += X.shape[0] if sample_weight is None else sample_weight.sum(dtype=np.float64)


def _sgd(
    problem: _Problem,
    start: np.ndarray,
    batch_size: int,
    seed: int,
    learning_rate: float,
    momentum: float,
    tol: float | None,
    max_iter: int | None,
    callback: Callable[[int, float], None] | None,
) -> SolverResult:
    rows = problem.rows
    batches: Batches | Windows
    if isinstance(rows.shards, Dataset):
        batches = Windows(rows.n_rows, batch_size, WINDOW_ROWS, seed)
    else:
        batches = Batches(rows.n_rows, batch_size, seed)
    coming: Iterator[Any] = iter(())

    def batch_gradient(epoch: int, batch: int, x: np.ndarray) -> np.ndarray:
        nonlocal coming
        if batch == 0:
            coming = _batches(rows, batch_size, seed, epoch)
        return problem.on_batch(coming, x)

    return sgd(
        problem.objective,
        batch_gradient,
        start,
        n_batches=batches.n_batches,
        learning_rate=learning_rate,
        momentum=momentum,
        tol=1e-5 if tol is None else tol,
        max_iter=max_iter or 100,
        callback=callback,
    )


def _batches(rows: TrainingRows, batch_size: int, seed: int, epoch: int) -> Iterator[Any]:
    """Yield this rank's part of each batch of an epoch."""
    if isinstance(rows.shards, Dataset):
        yield from rows.shards.batches(batch_size, seed, epoch, WINDOW_ROWS)
    else:
        last = rows.first_row + rows.shards[0].shape[0]
        for some in Batches(rows.n_rows, batch_size, seed).split(epoch, rows.first_row, last):
            yield tuple(None if part is None else part[some] for part in rows.shards)


def _coordinates(engine: Engine, rows: TrainingRows, penalty: float, fit_intercept: bool) -> Coordinates:
    d = rows.n_columns
    sums = engine.reduce(column_sums, rows.sample, out=np.zeros(d + 1))
    mean = sums[:-1] / sums[-1] if fit_intercept else np.zeros(d)
    squares = engine.reduce(column_squares, rows.sample, mean, out=np.zeros(d))
    return Coordinates.from_sums(mean, squares, float(sums[-1]), penalty, fit_intercept)


def _check_arguments(
    model: str,
    l2: float,
    solver: str,
    tol: float | None,
    max_iter: int | None,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    seed: int,
) -> None:
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}; choose one of {', '.join(MODELS)}")
    if solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r}; choose one of {', '.join(SOLVERS)}")
    if not (math.isfinite(l2) and l2 >= 0):
        raise ValueError(f"l2 must be a finite number, 0 or more, not {l2}")
    if tol is not None and not (math.isfinite(tol) and tol >= 0):
        raise ValueError(f"tol must be a finite number, 0 or more, not {tol}")
    if max_iter is not None and max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, not {max_iter}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be a positive number, not {learning_rate}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be at least 0 and below 1, not {momentum}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
