"""Recursive doubling: in step s each rank exchanges all it has with the rank whose number differs in bit s.

::

    rank        0      1      2      3
    step 1      0+1    0+1    2+3    2+3         pairs
    step 2      all    all    all    all         pairs of pairs

With P ranks and N bytes: log2 P steps, N log2 P bytes sent by each rank: for messages whose latency outweighs their
size. When P is not a power of two, the ranks of the first few pairs fold into one before, and are told the result
behind. Larger arrays pass in pieces. The ranks' order is kept: the operator need not be commutative.

Each message says which call it belongs to (a digest of the call, its length, and whether a mismatch is known), so that
calls that differ are found out by all ranks before anything is written to their arrays. None is longer than
PIECE_BYTES and its head, and there is room for that behind every receive.

Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of collective communication operations in MPICH",
International Journal of High Performance Computing Applications 19 (2005) 49-66.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..kernels.parts import HEAD_BYTES, MessagePair
from .algorithm import AtOnce, Finish
from .call import Call
from .guard import Guard
from .mpi import MPI, wait_for

PIECE_BYTES = (1 << 20) - HEAD_BYTES
_TAG = 6


class Exchange:
    """Exchanges of the ranks of `comm`, which make the same ones in one order. Collective to make.

    Args:
        comm: the ranks.
        outgoing: memory for a message, uint8, that nothing else needs during an exchange; None for its own.
    """

    def __init__(self, comm: MPI.Comm, outgoing: np.ndarray | None = None) -> None:
        self.comm = comm
        self.outgoing = np.empty(HEAD_BYTES + PIECE_BYTES, np.uint8) if outgoing is None else outgoing
        self.incoming = np.empty(HEAD_BYTES + PIECE_BYTES, np.uint8)
        core = 1 << (comm.size.bit_length() - 1)  # the largest power of two
        pairs = comm.size - core  # so many pairs fold
        in_pair = comm.rank < 2 * pairs
        self.folds_into = comm.rank - 1 if in_pair and comm.rank % 2 else None  # the rank that takes part for this one
        self.folded = comm.rank + 1 if in_pair and not comm.rank % 2 else None  # the one that this rank takes part for
        position = comm.rank // 2 if in_pair else comm.rank - pairs
        others = [position ^ (1 << bit) for bit in range(core.bit_length() - 1)] if self.folds_into is None else []
        self.steps = [2 * other if other < pairs else other + pairs for other in others]
        sources = {source for source in (*self.steps, self.folds_into, self.folded) if source is not None}
        self.receives = {source: comm.Recv_init(self.incoming, source, _TAG) for source in sources}
        self._nothing = Message(self, np.empty(0, np.uint8), 0)

    def prepare(self, digest: int, data: np.ndarray, loop: int) -> ArrayExchange:
        """Prepare the all-reduce of 1-D contiguous `data` in place by the loop at address `loop`."""
        return ArrayExchange(digest, [Message(self, piece, loop) for piece in pieces(data)])

    def agree(self, digest: int) -> bool:
        """Return, on every rank alike, whether all ranks announced the same digest."""
        return self._nothing.exchange(digest)

    def close(self) -> None:
        """Free the requests."""
        self._nothing.close()
        for receive in self.receives.values():
            receive.Free()


class Message:
    """The all-reduce of an array of at most PIECE_BYTES.

    Args:
        exchange: with whom.
        data: the array, 1-D contiguous; one that lies in the outgoing message, behind its head, is not copied.
        loop: address of the loop that combines it.
    """

    def __init__(self, exchange: Exchange, data: np.ndarray, loop: int) -> None:
        message = exchange.outgoing[: HEAD_BYTES + data.nbytes]
        self._pair = MessagePair(message, exchange.incoming, data, data.itemsize, loop)
        self._receives = exchange.receives
        self._sends = {dest: exchange.comm.Send_init(message, dest, _TAG) for dest in exchange.receives}
        self._steps = [
            (self._receives[partner], self._sends[partner], partner < exchange.comm.rank) for partner in exchange.steps
        ]
        self._folds_into, self._folded = exchange.folds_into, exchange.folded

    def exchange(self, digest: int, same: bool = True) -> bool:
        """Combine the arrays of all ranks; return whether all announced the same digest and length.

        If not, the array is left as it was. A rank that already knows that they do not says so by `same`.
        """
        pair = self._pair
        pair.begin(digest, same)
        if self._folds_into is not None:
            run(self._sends[self._folds_into])
            run(self._receives[self._folds_into])
            pair.replace()
        if self._folded is not None:
            run(self._receives[self._folded])
            pair.combine(False)
        for receive, send, is_lower in self._steps:
            receive.Start()
            send.Start()
            wait_for(receive)
            wait_for(send)
            pair.combine(is_lower)
        if self._folded is not None:
            run(self._sends[self._folded])
        return bool(pair.end())

    def close(self) -> None:
        """Free the requests."""
        for send in self._sends.values():
            send.Free()


def run(request: MPI.Prequest) -> None:
    """Start a request and wait for it."""
    request.Start()
    wait_for(request)


class Exchangeable(Protocol):
    """A piece of an array: `Message`, or among several nodes `node_doubling.NodeMessage`."""

    def exchange(self, digest: int) -> bool:
        """Combine the pieces of all ranks; return whether all announced the same digest and length."""

    def close(self) -> None:
        """Free the requests."""


class ArrayExchange:
    """The all-reduce of an array, prepared: its pieces, one after another."""

    def __init__(self, digest: int, messages: Sequence[Exchangeable]) -> None:
        self._digest, self._messages = digest, messages
        if len(messages) == 1:
            self.run = functools.partial(messages[0].exchange, digest)  # type: ignore[method-assign]

    def run(self) -> bool:
        """Run; return whether all ranks announced the same digest. If not, the array is left as it was."""
        return all(message.exchange(self._digest) for message in self._messages)  # the first finds what differs

    def close(self) -> None:
        """Free the requests."""
        for message in self._messages:
            message.close()


def pieces(data: np.ndarray) -> list[np.ndarray]:
    """Cut 1-D `data` into pieces of at most PIECE_BYTES; one at least, which may be empty."""
    length = PIECE_BYTES // data.itemsize
    return [data[low : low + length] for low in range(0, len(data), length)] or [data]


class DoublingAllreduce(AtOnce):
    """All-reduce by a prepared exchange of `work`."""

    def __init__(
        self, exchange: ArrayExchange, guard: Guard, call: Call, work: np.ndarray, finish: Finish | None
    ) -> None:
        self._exchange, self._work, self._finish = exchange, work, finish
        self._tell = functools.partial(guard.tell, str(call))
        self.close = exchange.close  # type: ignore[method-assign]

    def run(self) -> None:
        """Run from start to end."""
        if not self._exchange.run():
            self._tell()
        if self._finish is not None:
            self._finish(self._work)
