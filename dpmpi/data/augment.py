"""Augmentation: each row of a batch changed at random, in the same way on any number of ranks, bit for bit.

The random numbers of a row are a pure function of (seed, epoch, place of the augmentation in the list, global row
number): the SplitMix64 sequence that starts at a hash of the four. So it does not matter which rank makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dpmpi.kernels.random_bits import GOLDEN, mix, unit

from .ranks import Ranks
from .table import Block

_SALT = 0x6175676D656E74  # other bits than those that make the batches
_AT_ONCE = 1 << 15  # random numbers made together: they stay in the cache


class Draws:
    """Random numbers for the rows of one rank's part of a batch; `rows` are their global numbers, int64 (n,)."""

    def __init__(self, seed: int, epoch: int, place: int, rows: np.ndarray) -> None:
        with np.errstate(over="ignore"):
            stream = mix(mix(mix(seed ^ _SALT) + np.uint64(epoch)) + np.uint64(place))
        self._starts = mix(rows.astype(np.uint64) ^ stream)

    def uniform(self, n: int, rows: slice = slice(None)) -> np.ndarray:
        """The first `n` numbers of each row, float64 (n_rows, n), evenly spread inside (0, 1)."""
        with np.errstate(over="ignore"):
            return unit(mix(self._starts[rows, None] + np.arange(n, dtype=np.uint64) * np.uint64(GOLDEN)))


class Augmentation(Protocol):
    """A change of rows at random: a frozen dataclass of numbers."""

    def apply(self, batch: Block, draws: Draws, ranks: Ranks) -> Block:
        """Return this rank's part of a batch, X dense (n, d), changed; `batch` stays as it is."""
        ...


def augmented(
    batches: Iterator[tuple[Block, np.ndarray]], steps: Sequence[Augmentation], seed: int, epoch: int, ranks: Ranks
) -> Iterator[Block]:
    """Yield the batches, given with their global row numbers, changed by one augmentation after the other.

    Collective batch by batch when MixUp is among them, else local. Raises ValueError for sparse rows.
    """
    together = any(isinstance(step, MixUp) for step in steps)
    while True:
        with ranks.together() if together else nullcontext():
            found = next(batches, None)
            if found is not None and steps and hasattr(found[0].X, "indptr"):
                raise ValueError("augmentation takes dense rows, not sparse ones; leave it out")
        if found is None:
            return
        batch, rows = found
        for place, step in enumerate(steps):
            batch = step.apply(batch, Draws(seed, epoch, place, rows), ranks)
        yield batch


@dataclass(frozen=True)
class Noise:
    """Normal noise added to every number; `scale` is its standard deviation, one for all columns or one for each."""

    scale: float | tuple[float, ...]

    def __post_init__(self) -> None:
        scale = np.asarray(self.scale)
        if not (np.isfinite(scale) & (scale >= 0)).all():
            raise ValueError(f"Noise needs a finite scale, 0 or more, not {self.scale}")

    def apply(self, batch: Block, draws: Draws, ranks: Ranks) -> Block:
        """See `Augmentation`."""
        from scipy.special import ndtri  # number by number: the same bits wherever in an array

        n, d = batch.X.shape
        X = np.empty_like(batch.X)
        step = max(1, _AT_ONCE // max(1, d))
        for low in range(0, n, step):
            some = slice(low, min(low + step, n))
            X[some] = batch.X[some] + ndtri(draws.uniform(d, some)) * np.asarray(self.scale)
        return batch._replace(X=X)


@dataclass(frozen=True)
class MixUp:
    """Each row and its target become ``share * own + (1 - share) * partner``, share drawn from Beta(alpha, alpha).

    The partner is the row before it in the global batch, in the order of the rows' numbers, and for the first row the
    last. As batches are dealt out, that is a row picked at random from the n_batches rows in front of the row's own;
    rows that are sorted by their target should be shuffled once. The last row of every rank's part is sent to all
    ranks: each batch costs an all-gather of one row a rank. Weights stay the row's own; a class label mixes as 0 or 1.
    Source: H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"MixUp needs an alpha above 0, not {self.alpha}")

    def apply(self, batch: Block, draws: Draws, ranks: Ranks) -> Block:
        """See `Augmentation`. Collective."""
        from scipy.special import betaincinv

        X, y = batch.X, batch.y
        n = len(X)
        last = (X[-1], None if y is None else y[-1]) if n else None
        lasts = ranks.share(last)
        if not n:
            return batch
        before = [lasts[(ranks.rank - back) % ranks.size] for back in range(1, ranks.size + 1)]
        partner_x, partner_y = next(row for row in before if row is not None)
        share = betaincinv(self.alpha, self.alpha, draws.uniform(1))
        mixed = share * X + (1.0 - share) * np.concatenate([partner_x[None], X[:-1]])
        batch = batch._replace(X=mixed.astype(X.dtype, copy=False))
        if y is not None:
            share = share[:, 0]
            targets = share * y + (1.0 - share) * np.concatenate([np.array([partner_y], y.dtype), y[:-1]])
            batch = batch._replace(y=targets.astype(y.dtype, copy=False))
        return batch


@dataclass(frozen=True)
class Shift:
    """Images moved by up to `most` pixels down or up and right or left; `fill` comes in at the edge.

    shape : (height, width, channels) of the image that a row of X holds, channels running fastest.
    """

    shape: tuple[int, int, int]
    most: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.most < 0:
            raise ValueError(f"Shift moves by 0 pixels or more, not {self.most}")

    def apply(self, batch: Block, draws: Draws, ranks: Ranks) -> Block:
        """See `Augmentation`."""
        images = _images(batch.X, self.shape)
        n, height, width, _ = images.shape
        moves = np.floor(draws.uniform(2) * (2 * self.most + 1)).astype(np.int64) - self.most
        i, j = np.arange(height) - moves[:, :1], np.arange(width) - moves[:, 1:]
        inside_i, inside_j = i.clip(0, height - 1), j.clip(0, width - 1)
        moved = images[np.arange(n)[:, None, None], inside_i[:, :, None], inside_j[:, None, :]]
        moved[(i != inside_i)[:, :, None] | (j != inside_j)[:, None, :]] = self.fill
        return batch._replace(X=moved.reshape(batch.X.shape))


@dataclass(frozen=True)
class Flip:
    """About a share `share` of the images mirrored: "horizontal", left to right, or "vertical", top to bottom.

    shape : as for `Shift`.
    """

    shape: tuple[int, int, int]
    direction: str = "horizontal"
    share: float = 0.5

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.direction not in ("horizontal", "vertical") or not 0 <= self.share <= 1:
            raise ValueError(
                f"Flip is horizontal or vertical, of a share from 0 to 1, not {self.direction!r} and {self.share}"
            )

    def apply(self, batch: Block, draws: Draws, ranks: Ranks) -> Block:
        """See `Augmentation`."""
        images = _images(batch.X, self.shape).copy()
        flipped = draws.uniform(1)[:, 0] < self.share
        images[flipped] = images[flipped, ::-1] if self.direction == "vertical" else images[flipped, :, ::-1]
        return batch._replace(X=images.reshape(batch.X.shape))


def _check_shape(shape: tuple[int, int, int]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"an image has a height, a width and channels, each 1 or more, not {shape}")


def _images(X: Any, shape: tuple[int, int, int]) -> Any:
    height, width, channels = shape
    if X.shape[1] != height * width * channels:
        raise ValueError(f"rows of {X.shape[1]} numbers are no images of {height} x {width} x {channels}")
    return X.reshape(len(X), height, width, channels)
