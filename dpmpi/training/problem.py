"""What a solver minimises: the penalised mean loss over the rows of all ranks, and its gradient on mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Block, Dataset
from ..data.table import take
from ..data.windows import Windows
from ..engine import Engine
from ..models import Model
from ..preprocess import Coordinates, column_squares, column_sums
from .rows import TrainingRows

if TYPE_CHECKING:
    from ..data.augment import Augmentation

# Rows of all ranks that batches are taken from, in memory as while a Dataset is streamed: whether rows fit depends on
# the number of ranks and on free memory, and the steps must not.
WINDOW_ROWS = 1 << 18


@dataclass(frozen=True)
class Spread:
    """Count of rows, means and sums of squared deviations of the d columns that a model sees.

    Without an intercept the means are zeros, as columns are then not centred.
    """

    count: float
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def measure(cls, engine: Engine, sample: Any, centred: bool, scaling: Coordinates | None = None) -> Spread:
        """Measure the ranks' samples, of which the model sees `scaling`'s ``(sample - mean) / scale``. Collective.

        Raises (on every rank) ValueError for numbers whose squares no float64 holds.
        """
        d = sample.shape[1]
        sums = engine.reduce(column_sums, sample, out=np.zeros(d + 1))
        # Where the model's zero stands, if columns are not centred.
        zero = np.zeros(d) if scaling is None else scaling.mean
        mean = sums[:-1] / sums[-1] if centred else zero
        squares = engine.reduce(column_squares, sample, mean, out=np.zeros(d))
        if not np.isfinite(squares).all():
            column = int(np.argmin(np.isfinite(squares)))
            raise ValueError(
                f"column {column} of X holds numbers whose squares overflow; divide them by a large number"
            )
        if scaling is not None:
            mean, squares = (mean - scaling.mean) / scaling.scale, squares / scaling.scale**2
        return cls(float(sums[-1]), mean, squares)

    def merge(self, other: Spread) -> Spread:
        """Of the rows of both, by Chan's update (see `preprocess.Moments`)."""
        count = self.count + other.count
        share = other.count / count
        delta = other.mean - self.mean
        return Spread(count, self.mean + delta * share, self.squares + other.squares + delta**2 * self.count * share)

    def coordinates(self, penalty: float, intercept: bool) -> Coordinates:
        """The coordinates in which all columns curve alike; see `Coordinates.from_sums`."""
        return Coordinates.from_sums(self.mean, self.squares, self.count, penalty, intercept)


class Problem:
    """The penalised mean objective as a function of standardised parameters.

    Args:
        engine: the ranks.
        model, l2: what is fitted.
        rows: the training rows.
        coordinates: what the solver's vectors mean.
        scaling: how the columns that the model sees, whose coefficients are penalised, come from those of `rows`:
            ``(X - scaling.mean) / scaling.scale``. It is folded into the kernel's coefficients, so no rows are copied.
    """

    def __init__(
        self,
        engine: Engine,
        model: Model,
        l2: float,
        rows: TrainingRows,
        coordinates: Coordinates,
        scaling: Coordinates | None = None,
    ) -> None:
        self.engine, self.model, self.l2, self.rows = engine, model, l2, rows
        self.coordinates, self.scaling = coordinates, scaling
        n_parameters = rows.n_columns + (coordinates.intercept or scaling is not None)
        self.out = np.zeros(1 + n_parameters + 1)  # loss, gradient, sum of weights: one all-reduce a step

    def objective(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the objective at `x`, and its gradient. Collective."""
        loss, gradient, _ = self._evaluate(self.rows.shards, x, self.rows.total_weight)
        return loss, gradient

    def on_batch(self, coming: Iterator[Any], x: np.ndarray) -> tuple[float, np.ndarray, float]:
        """Return objective, gradient and weight of the next batch, of which this rank holds what comes next."""
        try:
            shards = tuple(next(coming))
        except Exception as error:  # a file that went bad
            self.engine.comm.fail(error)
        return self._evaluate(shards, x, None)

    def _evaluate(self, shards: Any, x: np.ndarray, total: float | None) -> tuple[float, np.ndarray, float]:
        parameters = self.coordinates.parameters(x)
        out = self.engine.reduce(_weighted_loss, shards, self.model.loss, self._of_rows(parameters), out=self.out)
        total = float(out[-1]) if total is None else total
        if total > 0:  # else a batch of zero weights: only the penalty counts
            out /= total
        coef = parameters[: self.rows.n_columns]
        with np.errstate(over="ignore"):  # what diverges is told by its loss
            loss = float(out[0]) + 0.5 * self.l2 * float(coef @ coef)
        gradient = out[1:-1].copy() if self.scaling is None else self.scaling.gradient(out[1:-1])
        gradient = gradient[: len(parameters)]
        gradient[: self.rows.n_columns] += self.l2 * coef
        return loss, self.coordinates.gradient(gradient), total

    def _of_rows(self, parameters: np.ndarray) -> np.ndarray:
        """The kernel's parameters, of the rows as they are, for those of the model."""
        if self.scaling is None:
            return parameters
        return self.scaling.parameters(parameters if self.coordinates.intercept else np.append(parameters, 0.0))


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


def count_batches(rows: TrainingRows, batch_size: int, seed: int) -> int:
    """The batches of an epoch."""
    return Windows(rows.n_rows, batch_size, WINDOW_ROWS, seed).n_batches


def take_batches(
    engine: Engine, rows: TrainingRows, batch_size: int, seed: int, epoch: int, augment: Sequence[Augmentation] = ()
) -> Iterator[Any]:
    """Yield this rank's part of each batch of an epoch; as `data.Dataset.batches` with windows of WINDOW_ROWS."""
    if isinstance(rows.shards, Dataset):
        return rows.shards.batches(batch_size, seed, epoch, WINDOW_ROWS, augment)
    whole = Block(*rows.shards)
    last = rows.first_row + whole.X.shape[0]
    parts = Windows(rows.n_rows, batch_size, WINDOW_ROWS, seed).split(epoch, rows.first_row, last)
    from ..data.augment import augmented  # most need it never

    return augmented(((take(whole, some), rows.first_row + some) for some in parts), augment, seed, epoch, engine.comm)
