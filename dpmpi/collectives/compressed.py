"""Compressed all-reduce between nodes: every value is coded twice, whatever the number of nodes.

The slice of a node's sum is cut into one chunk a node. Three nodes, chunks a b c, ' for coded::

    node 0   a b c    sends b' to 1, c' to 2    a + a' + a'    codes it, sends a" to 1 and 2    a" b" c"
    node 1   a b c    sends a' to 0, c' to 2    b' + b + b'    codes it, sends b" to 0 and 2    a" b" c"
    node 2   a b c    sends a' to 0, b' to 1    c' + c' + c    codes it, sends c" to 0 and 1    a" b" c"

All nodes, the owner of a chunk too, take what its second code says, so all ranks have the same bits. The sum is formed
in float32, in the order of the nodes. With h nodes and N bytes a node sends 2 N r (h - 1) / h bytes out in 2 (h - 1)
messages a slice; r is 1/2 for bf16 and fp16, 0.254 for int8, twice the part that is kept for topk.

What a code loses is kept and added to what is coded next in its place (error feedback), at either time: so the sum of
many runs differs from the exact one by what a single run loses, and not by the sum of what all of them lost.

Sources: H. Tang, X. Lian, C. Yu, T. Zhang, J. Liu, "DoubleSqueeze: parallel stochastic gradient descent with
double-pass error-compensated compression", ICML 2019 (error feedback on both ways); H. Tang et al., "1-bit Adam:
communication efficient large-scale training with Adam's convergence speed", ICML 2021 (the exchange); T. Dettmers,
M. Lewis, S. Shleifer, L. Zettlemoyer, "8-bit optimizers via block-wise quantization", ICLR 2022 (int8 by blocks); A. F.
Aji, K. Heafield, "Sparse communication for distributed gradient descent", EMNLP 2017 (topk).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..kernels import wire as codes
from .algorithm import Finish
from .mpi import MPI
from .operators import Operator
from .ring import chunk_bounds

FORMATS = ("fp16", "bf16", "int8", "topk")
KEPT = 0.01  # by topk, unless told otherwise


@dataclass(frozen=True)
class Wire:
    """How numbers travel between nodes.

    Attributes:
        format: "fp16", "bf16", "int8" or "topk"; see `kernels/wire.h` for their errors.
        kept: the part of the numbers that topk sends; 0 for the other formats.
    """

    format: str
    kept: float = 0.0

    def __str__(self) -> str:
        return f"{self.format} {self.kept:g}" if self.kept else self.format

    def k(self, n: int) -> int:
        """Return how many of `n` numbers are sent by topk, one at least; 0 for the other formats."""
        return min(n, max(1, round(self.kept * n))) if self.kept else 0


def chosen_wire(wire: object, kept: float | None, operator: Operator, dtype: np.dtype) -> Wire | None:
    """Return the Wire that a user's arguments mean, None for none.

    Raises ValueError for an unknown format, another operator than sum and mean, or a `kept` not in (0, 1] or without
    topk; TypeError for a dtype that is not float16, float32 or float64.
    """
    if wire is None:
        if kept is not None:
            raise ValueError('wire_k is for wire="topk"')
        return None
    if wire not in FORMATS:
        raise ValueError(f"unknown wire {wire!r}; choose one of {', '.join(FORMATS)}, or None")
    if operator.name not in ("sum", "mean"):
        raise ValueError(f"wire={wire!r} is for sum and mean, not {operator.name}")
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise TypeError(f"wire={wire!r} is for float16, float32 and float64, not {dtype}")
    if wire != "topk":
        if kept is not None:
            raise ValueError(f'wire_k is for wire="topk", not {wire!r}')
        return Wire(str(wire))
    kept = KEPT if kept is None else kept
    if not 0 < kept <= 1:
        raise ValueError(f"wire_k is the part of the numbers that is sent, above 0 and at most 1, not {kept}")
    return Wire("topk", float(kept))


class CompressedAllreduce:
    """All-reduce of `array`, float32 (n,), over the ranks of `comm`; several pieces in turn, each with its residuals.

    Args:
        comm: one rank of every node.
        wire: how numbers travel.
        finish: applied to the sum of the own chunk before it is coded; None for nothing.
        tag: of the messages.
        pieces: the numbers of the pieces that `array` will hold.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        array: np.ndarray,
        wire: Wire,
        finish: Finish | None,
        tag: int,
        pieces: Sequence[int],
    ) -> None:
        self._size, self._me = comm.size, comm.rank
        self._wire, self._finish = wire, finish
        bounds = chunk_bounds(len(array), comm.size)
        self._chunks = [array[low:high] for low, high in itertools.pairwise(bounds)]
        self._own = np.empty_like(self._chunks[self._me])
        # What was lost for each piece: of the others' chunks in coding the node's sum, of the own in coding the result.
        self._lost = {piece: [np.zeros_like(chunk) for chunk in self._chunks] for piece in pieces}
        self._piece = 0
        self._others = [(comm.rank + step) % comm.size for step in range(1, comm.size)]  # not all to the same one first
        self._parts = {r: self._code(self._chunks[r]) for r in self._others}
        self._parts_in = {r: self._code(self._own) for r in self._others}
        self._result = self._code(self._own)
        self._results_in = {r: self._code(self._chunks[r]) for r in self._others}
        self._part_sends = {r: comm.Send_init(self._parts[r], r, tag) for r in self._others}
        self._part_receives = {r: comm.Recv_init(self._parts_in[r], r, tag) for r in self._others}
        self._result_sends = {r: comm.Send_init(self._result, r, tag) for r in self._others}
        self._result_receives = {r: comm.Recv_init(self._results_in[r], r, tag) for r in self._others}
        self._added = comm.size  # so many nodes' parts of the own chunk
        self._awaited: list[int] = []  # the owners of results that are still to come

    def _code(self, chunk: np.ndarray) -> np.ndarray:
        return np.empty(codes.wire_bytes(self._wire.format, len(chunk), self._wire.k(len(chunk))), np.uint8)

    def _encode(self, chunk: np.ndarray, lost: np.ndarray, code: np.ndarray) -> None:
        codes.encode(self._wire.format, chunk, lost, code, self._wire.k(len(chunk)))

    def _decode(self, code: np.ndarray, chunk: np.ndarray) -> None:
        codes.decode(self._wire.format, code, chunk, self._wire.k(len(chunk)))

    def start(self, piece: int) -> None:
        """Code the other nodes' chunks of what the array holds now, and send them."""
        self._piece, self._added, self._awaited = piece, 0, list(self._others)
        self._own[:] = 0
        for r in self._others:
            self._part_receives[r].Start()
            self._result_receives[r].Start()
        for r in self._others:
            self._encode(self._chunks[r], self._lost[piece][r], self._parts[r])
            self._part_sends[r].Start()

    def advance(self) -> bool:
        """Go on as far as messages allow; return whether all is done."""
        return self._add_parts() and self._take_results() and self._all_sent()

    def _add_parts(self) -> bool:
        """Add the nodes' parts of the own chunk as they come, in the nodes' order; code and send the sum."""
        if self._added == self._size:
            return True
        while self._added < self._size:
            r = self._added
            if r == self._me:
                self._own += self._chunks[r]
            elif self._part_receives[r].Test():
                codes.decode_add(self._wire.format, self._parts_in[r], self._own, self._wire.k(len(self._own)))
            else:
                return False
            self._added += 1
        if self._finish is not None:
            self._finish(self._own)
        self._encode(self._own, self._lost[self._piece][self._me], self._result)
        for r in self._others:
            self._result_sends[r].Start()
        self._decode(self._result, self._chunks[self._me])
        return True

    def _take_results(self) -> bool:
        for r in list(self._awaited):
            if self._result_receives[r].Test():
                self._decode(self._results_in[r], self._chunks[r])
                self._awaited.remove(r)
        return not self._awaited

    def _all_sent(self) -> bool:
        return bool(MPI.Request.Testall([*self._part_sends.values(), *self._result_sends.values()]))

    def close(self) -> None:
        """Free the requests."""
        for requests in (self._part_sends, self._part_receives, self._result_sends, self._result_receives):
            for request in requests.values():
                request.Free()
