"""Blocks that stay in memory between passes, as far as there is room."""

from __future__ import annotations

import threading
from typing import Any


class Holding:
    """The first blocks of a rank, as many as fit into `room` bytes, once they have been read."""

    def __init__(self, room: int) -> None:
        self.blocks: list[Any] = []
        self._room = room
        self._lock = threading.Lock()

    def offer(self, number: int, block: Any) -> None:
        """Hold the block of that number, if it is the next one and there is room. Several passes may be under way."""
        with self._lock:
            if number == len(self.blocks) and self._room > 0:
                self._room -= _bytes(block)
                if self._room >= 0:
                    self.blocks.append(block)


def _bytes(block: Any) -> int:
    X, *others = block[:3]
    parts = [X.data, X.indices, X.indptr] if hasattr(X, "indptr") else [X]
    return sum(part.nbytes for part in [*parts, *others] if part is not None)
