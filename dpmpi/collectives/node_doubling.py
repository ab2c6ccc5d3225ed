"""Recursive doubling between nodes: the ranks of a node reduce in shared memory, and one of them exchanges for all.

Two nodes of two ranks::

    node 0                                              node 1
    rank 0 --+                                     +-- rank 2
             +-- rank 0 sums   <-- exchange -->    +-- rank 2 sums
    rank 1 --+   both read its result              +-- rank 3

With h nodes and N bytes: log2 h steps between nodes, N log2 h bytes sent by a node, in one message a step however many
ranks it has. Arrays pass in pieces that fit the node's staging memory. Every message between nodes says which call it
belongs to, and so does every meeting within a node: calls that differ are found out by all ranks.
"""

from __future__ import annotations

import numpy as np

from ..kernels.node import Team
from ..kernels.parts import combine_ranges
from .recursive_doubling import Exchange


class NodeExchange:
    """Exchanges of all ranks; each makes the same calls in the same order. Takes the place of `Exchange`.

    Args:
        team: the ranks of this node, of which nothing else uses the staging memory.
        stages: staging memory of each rank of the node, uint8 of one length, in rank order.
        rank: in the node.
        between: exchanges of the nodes' first ranks; None on the others.
    """

    def __init__(self, team: Team, stages: list[np.ndarray], rank: int, between: Exchange | None) -> None:
        self._team, self._between = team, between
        half = stages[0].nbytes // 2
        self._inputs = [stage[:half].ctypes.data for stage in stages]
        self._input, self._result = stages[rank][:half], stages[0][half:]

    def run(self, digest: int, data: np.ndarray, loop: int) -> bool:
        """Combine the ranks' 1-D contiguous `data` in place by the loop at address `loop`.

        Returns whether all ranks announced the same digest; if not, `data` is undefined on all of them.
        """
        length = len(self._input) // data.itemsize
        pieces = [data[low : low + length] for low in range(0, len(data), length)] or [data]
        return all(self._run_piece(digest, piece, loop) for piece in pieces)  # the first piece finds what differs

    def _run_piece(self, digest: int, data: np.ndarray, loop: int) -> bool:
        self._input[: data.nbytes].view(data.dtype)[:] = data
        same = self._team.agree(digest)
        if self._between is not None:
            result = self._result[: data.nbytes].view(data.dtype)
            if same:
                combine_ranges(loop, self._inputs, len(data), data.itemsize, result)
            same = self._between.run(digest, result, loop, same)
        # The first rank tells the others whether the nodes agree: all meet again, and it differs if they do not.
        same = self._team.agree(digest if same or self._between is None else digest + 1) and same
        if same:
            data[:] = self._result[: data.nbytes].view(data.dtype)
        return same

    def agree(self, digest: int) -> bool:
        """Return, on every rank alike, whether all ranks announced the same digest."""
        return self.run(digest, _NOTHING, 0)


_NOTHING = np.empty(0, np.uint8)
