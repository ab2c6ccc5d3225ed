"""Which rows make a batch when data is streamed: units of rows are shuffled as they are read, rows within a window.

    units      |0|1|2|3|4|5|6|7|8|9|...       a unit: UNIT consecutive rows, read together
    stripes    |0 1 2|3 4 5|6 7 8|9 ...       as many units as there are windows
    window 0    1     3     8     ...         takes one unit of each stripe, by a permutation of the stripe
    batches                                   the rows of a window, dealt out by `Batches`

All of it is counted on global row numbers, so any number of ranks takes the same batches, and every rank has about its
fair part of each. How well this shuffles: two rows of the same unit share their window in every epoch, and so meet in a
batch n_windows times as often as in a full shuffle; rows of different units of a stripe never meet in the epoch. Data
that is sorted over more than a unit is mixed evenly. One window of all rows gives the batches of `Batches`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .batches import Batches, group

UNIT = 1024


class Windows:
    """Batches of about `batch_size` of `n_rows` rows, out of windows of about `window` rows over all ranks.

    Attributes: n_batches of an epoch. Raises ValueError when an argument is not positive.
    """

    def __init__(self, n_rows: int, batch_size: int, window: int, seed: int = 0) -> None:
        if n_rows < 1 or batch_size < 1 or window < 1:
            raise ValueError(
                f"batches need rows, a batch_size and a window above 0, not {n_rows}, {batch_size} and {window}"
            )
        self.n_rows = n_rows
        self.n_units = -(-n_rows // UNIT)
        self._units = Batches(self.n_units, max(1, window // UNIT), seed)
        self._n_windows = self._units.n_batches
        self._n_stripes = -(-self.n_units // self._n_windows)
        self._batches = [
            Batches(self._n_stripes * UNIT, batch_size, seed + 1 + number) for number in range(self._n_windows)
        ]
        if self._n_windows == 1:
            self._batches = [Batches(n_rows, batch_size, seed)]
        self.n_batches = sum(batches.n_batches for batches in self._batches)

    def split(self, epoch: int, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield for each batch the rows of ``start:stop`` in it, counted from `start`, for rows that are in memory."""
        for runs, batches in self.plan(epoch, start, stop):
            numbers = numbers_of(runs) - start
            for rows in batches:
                yield numbers[rows]

    def plan(self, epoch: int, start: int, stop: int) -> Iterator[tuple[list[tuple[int, int]], list[np.ndarray]]]:
        """Yield for each window the runs of rows in ``start:stop`` to be read, and the rows of each of its batches.

        Runs are global row numbers; a batch's rows count within the window's runs laid end to end.
        """
        first, last = (start // UNIT, -(-stop // UNIT)) if start < stop else (0, 0)
        for window, units in enumerate(self._units.split(epoch, first, last)):
            runs, batch_of = [], [np.empty(0, np.int64)]
            for unit in (units + first).tolist():
                low, high = max(unit * UNIT, start), min((unit + 1) * UNIT, stop)
                # Where the unit's rows stand in the window: there is one unit of each stripe.
                offset = unit // self._n_windows * UNIT - unit * UNIT
                runs.append((low, high))
                batch_of.append(self._batches[window].batch_of(epoch, low + offset, high + offset))
            yield runs, group(np.concatenate(batch_of), self._batches[window].n_batches)


def numbers_of(runs: list[tuple[int, int]]) -> np.ndarray:
    """The numbers (int64) of the rows in runs laid end to end."""
    return np.concatenate([np.empty(0, np.int64), *(np.arange(low, high) for low, high in runs)])
