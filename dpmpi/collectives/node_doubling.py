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

from ..kernels.node import Relay, Team
from ..kernels.parts import HEAD_BYTES
from .mpi import MPI
from .recursive_doubling import ArrayExchange, Exchange, Message, pieces


class NodeExchange:
    """Exchanges of all ranks, which make the same ones in one order. Takes the place of `Exchange`. Collective to make.

    Args:
        team: the ranks of this node, of which nothing else uses the staging memory.
        stages: staging memory of each rank of the node, uint8 of one length, in rank order.
        nodes: the nodes' first ranks, on those; None on the others.
    """

    def __init__(self, team: Team, stages: list[np.ndarray], nodes: MPI.Comm | None) -> None:
        half = stages[0].nbytes // 2
        self.team = team
        self.inputs = [stage[:half].ctypes.data for stage in stages]
        self.message = stages[0][half:]  # which the node's first rank sends, and in which all find the result
        self.between = None if nodes is None else Exchange(nodes, self.message)
        self._nothing = NodeMessage(self, np.empty(0, np.uint8), 0)

    def prepare(self, digest: int, data: np.ndarray, loop: int) -> ArrayExchange:
        """Prepare the all-reduce of 1-D contiguous `data` in place by the loop at address `loop`."""
        return ArrayExchange(digest, [NodeMessage(self, piece, loop) for piece in pieces(data)])

    def agree(self, digest: int) -> bool:
        """Return, on every rank alike, whether all ranks announced the same digest."""
        return self._nothing.exchange(digest)

    def close(self) -> None:
        """Free the requests."""
        self._nothing.close()
        if self.between is not None:
            self.between.close()


class NodeMessage:
    """The all-reduce of an array of at most PIECE_BYTES, 1-D contiguous; see `NodeExchange`."""

    def __init__(self, exchange: NodeExchange, data: np.ndarray, loop: int) -> None:
        result = exchange.message[HEAD_BYTES : HEAD_BYTES + data.nbytes].view(data.dtype)
        self._relay = Relay(exchange.team, exchange.inputs, result, data, data.itemsize, loop)
        self._between = None if exchange.between is None else Message(exchange.between, result, loop)

    def exchange(self, digest: int) -> bool:
        """Combine the arrays of all ranks; return whether all announced the same digest and length.

        If not, the array is left as it was.
        """
        same: bool = self._relay.begin(digest)
        if self._between is not None:
            same = self._relay.end(digest, self._between.exchange(digest, same))
        return same

    def close(self) -> None:
        """Free the requests."""
        if self._between is not None:
            self._between.close()
