"""Which rows make a batch: a pure function of global row numbers, so any number of ranks takes the same steps."""

from __future__ import annotations

import numpy as np

from dpmpi.kernels.random_bits import mix


def check_seed(seed: int) -> None:
    """Raise ValueError unless `seed`, and a few numbers behind it, are uint64."""
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"seed must be 0 or more and below 2^63, not {seed}")


class Batches:
    """Global mini-batches of `n_rows` rows, about `batch_size` each, reshuffled every epoch.

    The rows are cut into stripes of `n_batches` consecutive rows; every batch takes one row of each stripe, by a
    permutation that depends on (seed, epoch, stripe) alone. So a batch draws evenly from all rows, and from every
    rank's contiguous shard its fair part.

    Raises ValueError when `n_rows` or `batch_size` is not positive.
    """

    def __init__(self, n_rows: int, batch_size: int, seed: int = 0) -> None:
        if n_rows < 1 or batch_size < 1:
            raise ValueError(
                f"batches need rows and a positive batch_size, not {n_rows} rows in batches of {batch_size}"
            )
        self.n_rows = n_rows
        self.n_batches = -(-n_rows // batch_size)
        self.seed = seed

    def split(self, epoch: int, start: int, stop: int) -> list[np.ndarray]:
        """Return for each batch the rows of ``start:stop`` in it, ascending, counted from `start` (int64 arrays)."""
        return group(self.batch_of(epoch, start, stop), self.n_batches)

    def batch_of(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """Return the number of the batch that each of the rows ``start:stop`` is in, int64 (stop - start,)."""
        if start == stop:
            return np.empty(0, np.int64)
        first, last = start // self.n_batches, -(-stop // self.n_batches)
        stripes = np.arange(first, last, dtype=np.uint64)[:, None]
        positions = np.arange(self.n_batches, dtype=np.uint64)
        keys = mix(mix(mix(stripes ^ mix(np.uint64(self.seed))) + np.uint64(epoch)) + positions)
        batch_of = np.argsort(keys, axis=1, kind="stable").reshape(-1)
        return batch_of[start - first * self.n_batches : stop - first * self.n_batches]


def group(batch_of: np.ndarray, n_batches: int) -> list[np.ndarray]:
    """For each batch the positions in `batch_of` that name it, ascending."""
    order = np.argsort(batch_of, kind="stable")
    ends = np.cumsum(np.bincount(batch_of, minlength=n_batches))
    return np.split(order, ends[:-1])
