"""Go on fitting a model with more rows, call by call, as they come."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import Engine
from ..models import MODELS
from ..solvers import step
from .fit import FitResult, FitState, check_model, check_steps, digest, split_parameters
from .problem import Problem, Spread, count_batches, take_batches
from .rows import find_rows


def partial_fit(
    engine: Engine,
    model: str | FitResult,
    X: Any,
    y: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
    *,
    classes: tuple[float, float] | None = None,
    l2: float | None = None,
    fit_intercept: bool | None = None,
    batch_size: int = 256,
    learning_rate: float = 0.05,
    momentum: float = 0.9,
    seed: int = 0,
) -> FitResult:
    """Update a model with one pass of mini-batch SGD over more rows, as scikit-learn's `partial_fit`. Collective.

    The rows are taken in shuffled batches of `batch_size` rows of all ranks, each a step weighted by rows; the learning
    rate is constant, since a stream may change. What a step needs besides the model, the momentum and the spread of the
    columns seen so far, is carried along in ``result.state`` and saved in model files, so that a model that was read
    back goes on with the same bits. The result is the same, to rounding, on any number of ranks.

    Args:
        engine: the ranks.
        model: "linear" or "logistic" for the first rows; afterwards the result of the call before, or of `dpmpi.fit`.
            The same on every rank.
        X, y, sample_weight: this rank's rows as for `dpmpi.fit`, also none on some ranks; a Dataset too.
        classes: the two labels of a new "logistic" model; needed when the first rows do not have both.
        l2, fit_intercept: of a new model (default 0, and with an intercept); given by `model` otherwise.
        batch_size, learning_rate, momentum, seed: as for `dpmpi.fit` with "sgd"; free to change from call to call.

    Returns:
        FitResult, equal bits on every rank. Its loss is the mean objective of the batches, each before its step: an
        estimate on rows that were not learnt from yet. n_iter counts calls, on top of the iterations of `dpmpi.fit`.

    Raises (on every rank): what `dpmpi.fit` raises; ValueError for a label that is not one of the classes, or steps
        that diverge.
    """
    known = None if isinstance(model, str) else model
    arguments = (known.model if known else model, classes, l2, fit_intercept, batch_size, learning_rate, momentum, seed)
    origin = "nothing" if known is None else digest(_parameters(known))
    with engine.comm.together(f"partial_fit{arguments} from {origin}"):
        check_steps(batch_size, learning_rate, momentum, seed)
        if isinstance(model, str):
            check_model(model, l2 or 0.0)
            known = _nothing(model, l2 or 0.0, classes)
        elif (classes, l2, fit_intercept) != (None, None, None):
            raise ValueError("classes, l2 and fit_intercept are given by the model that is updated; leave them out")
    assert known is not None
    chosen = MODELS[known.model]
    rows = find_rows(engine, X, y, sample_weight, chosen.classifier, known.classes)
    before = _state(known, fit_intercept, rows.n_columns)
    if len(before.spread.mean) != rows.n_columns:
        raise ValueError(f"X has {rows.n_columns} columns, but the model has {len(before.spread.mean)}")
    spread = before.spread.merge(Spread.measure(engine, rows.sample, before.intercept))
    coordinates = spread.coordinates(known.l2 / chosen.curvature, before.intercept)
    problem = Problem(engine, chosen, known.l2, rows, coordinates)
    parameters = _parameters(known) if len(known.coef) else np.zeros(rows.n_columns + before.intercept)
    x, velocity = coordinates.standardised(parameters), coordinates.standardised(before.velocity)
    coming = take_batches(engine, rows, batch_size, seed, before.n_calls)
    losses = np.zeros(2)
    for _ in range(count_batches(rows, batch_size, seed)):
        loss, gradient, weight = problem.on_batch(coming, x)
        step(x, velocity, gradient, learning_rate, momentum)
        losses += weight * loss, weight
    if not (np.isfinite(losses).all() and np.isfinite(x).all()):
        raise ValueError(f"the steps diverge; lower learning_rate ({learning_rate}) or momentum ({momentum})")
    coef, intercept = split_parameters(engine, coordinates.parameters(x), before.intercept)
    state = FitState(before.intercept, spread, coordinates.parameters(velocity), before.n_calls + 1)
    loss = float(losses[0] / losses[1])
    message = f"call {state.n_calls} of partial_fit, with {rows.n_rows} rows"
    return FitResult(
        known.model, "sgd", coef, intercept, loss, known.n_iter + 1, False, message, [loss], known.l2, rows.classes,
        state,
    )  # fmt: skip


def _nothing(model: str, l2: float, classes: tuple[float, float] | None) -> FitResult:
    """A model that has seen no rows, nor how many columns they have."""
    labels = None if classes is None else np.unique(np.asarray(classes, np.float64))
    if labels is not None and not (MODELS[model].classifier and len(labels) == 2 and np.isfinite(labels).all()):
        raise ValueError(f"classes are the two labels of a classifier, not {classes} of a {model} model")
    return FitResult(model, "sgd", np.zeros(0), 0.0, np.nan, 0, False, "", [], l2, labels)


def _parameters(result: FitResult) -> np.ndarray:
    """coef, and the intercept behind it where the model has one."""
    without = result.state is not None and not result.state.intercept
    return result.coef if without else np.append(result.coef, result.intercept)


def _state(result: FitResult, fit_intercept: bool | None, n_columns: int) -> FitState:
    """Where the model stands; at the beginning where it has not been told."""
    if result.state is not None:
        return result.state
    intercept = fit_intercept is not False
    d = len(result.coef) or n_columns
    return FitState(intercept, Spread(0.0, np.zeros(d), np.zeros(d)), np.zeros(d + intercept))
