"""What a prepared collective is, whatever it does: run whole, or started and then let go on."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

Finish = Callable[[np.ndarray], None]  # what an all-reduce does with values when all are combined


class Algorithm:
    """A collective on arrays, set up once and run many times. `start` and `run` are collective.

    What begins all it does in `start` and waits for nothing but messages defines `start` and `advance`.
    """

    def start(self) -> None:
        """Begin."""

    def advance(self) -> bool:
        """Go on as far as other ranks allow, without waiting; return whether all is done."""
        return True

    def run(self) -> None:
        """Run from start to end. A rank that waits lets others have its processor: MPI's own wait does not."""
        self.start()
        while not self.advance():
            os.sched_yield()

    def close(self) -> None:
        """Free what it holds."""


class AtOnce(Algorithm):
    """An algorithm that begins and ends in `start`: what all ranks start in one order they may wait for in any."""

    run: Callable[[], None]

    def start(self) -> None:
        """Run from start to end."""
        self.run()


class Whole(AtOnce):
    """An algorithm in memory that other arrays need too, which must not be under way beside it."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.run, self.close = algorithm.run, algorithm.close  # type: ignore[method-assign]
