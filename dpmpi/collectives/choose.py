"""Which algorithm at which size.

A rule names one: shared memory where all ranks are on one node; else recursive doubling for small arrays and
`hierarchical`, or the ring, for larger ones. Measured times overrule it where another is clearly faster.

Which algorithm combines floating-point numbers decides the order in which the ranks' are taken, and so the last bits.
With ``order="fixed"`` times measured in this job choose only where bits cannot depend on them; elsewhere the rule
does, or the table of `dpmpi tune`, so that a later job on this machine gets the same bits. MPI's own call is then no
candidate: MPI does not promise an order. ``order="any"`` takes whatever is fastest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..kernels import node
from .buffers import work_dtype
from .call import Call
from .group import Group
from .measure import measure, measure_thoroughly
from .table import Table, load, save

DOUBLING_BYTES = 16 << 10  # up to here latency outweighs size on common networks
SURE_BYTES = 256 << 10  # below, shared memory on one node wins by so much that a quick look could only mislead
ANY_BYTES = 1 << 62
CHOICES_KEPT = 1024
_SYMMETRIC = ("sum", "mean", "prod")  # a op b has the bits of b op a


def rule(n_bytes: int, candidates: Sequence[str]) -> str:
    """Return the algorithm to take where nothing was measured."""
    if "node" in candidates:
        return "node"
    if n_bytes > DOUBLING_BYTES:
        for name in ("hierarchical", "ring"):
            if name in candidates:
                return name
    return "recursive_doubling"


class Chooser:
    """Chooses the algorithm for each all-reduce of a group; measures when it first needs to. Collective to make.

    Attributes:
        team: the ranks of the group's one node, which may be asked first: arrays below `team.high` bytes are theirs,
            with an operator of the user's below `team.users_high`. None where there are several nodes.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._saved = load(group) if group.comm.size > 1 else None
        self._measured: Table | None = None
        self._chosen: dict[tuple[str, bool, np.dtype, int, str], str] = {}
        self.team: node.Team | None = None
        self._settle()

    def choose(self, call: Call) -> str:
        """Return the algorithm for `call`. Collective where it has to be measured first."""
        key = call.operator.name, call.operator.commutative, call.dtype, call.n, call.order
        if key not in self._chosen:
            if len(self._chosen) >= CHOICES_KEPT:
                self._chosen.clear()
            self._chosen[key] = self._choose(call)
        return self._chosen[key]

    def _choose(self, call: Call) -> str:
        dtype = work_dtype(call.dtype)
        n_bytes = call.n * dtype.itemsize
        if call.order == "fixed" and self.team is not None:
            high = self.team.high if call.operator.function is None else self.team.users_high
            if n_bytes < high:
                return "node"  # whose team is asked before this
        candidates = self._group.candidates(call.operator, dtype)
        table = self._table(call) if self._is_free(call) else self._saved
        if not self._is_free(call):
            candidates = [name for name in candidates if name != "native"]
        default = rule(n_bytes, candidates)
        return default if table is None else table.choose(n_bytes, candidates, default)

    def _is_free(self, call: Call) -> bool:
        """Whether any algorithm may be taken: each gives the same bits, or nobody asked for that."""
        exact = call.dtype.kind in "biu" and call.operator.function is None
        two = self._group.comm.size == 2 and call.operator.name in _SYMMETRIC
        return call.order == "any" or exact or two

    def _table(self, call: Call) -> Table:
        """Return the measured times. Collective at the first call, to which all ranks must come together."""
        if self._saved is not None:
            return self._saved
        if self._measured is None:
            self._group.guard.agree(str(call))
            self._measured = measure(self._group)
            self._settle()
        return self._measured

    def explain(self, call: Call) -> str:
        """Say in words which algorithm runs, and why. Collective."""
        dtype = work_dtype(call.dtype)
        n_bytes = call.n * dtype.itemsize
        candidates = self._group.candidates(call.operator, dtype)
        table = self._table(call)
        chosen = self.choose(call)
        why = "measured times" if self._saved or self._is_free(call) else 'a fixed rule, see order="any"'
        lines = [
            f"all-reduce of {n_bytes} bytes: {chosen}, by {why} ({table.origin})",
            f"  {'algorithm':<20}{'expected us':>12}{'fitted us':>12}{'latency us':>12}{'GB/s':>8}",
        ]
        for name in candidates:
            if not table.samples.get(name):
                lines.append(f"  {name:<20}{'not measured':>12}")
                continue
            latency, per_byte = table.cost(name)
            rate = f"{1e-9 / per_byte:.2f}" if per_byte else "-"
            lines.append(
                f"  {name:<20}{1e6 * table.seconds(name, n_bytes):>12.1f}{1e6 * (latency + per_byte * n_bytes):>12.1f}"
                f"{1e6 * latency:>12.1f}{rate:>8}{'  <-' if name == chosen else ''}"
            )
        return "\n".join(lines)

    def tune(self) -> None:
        """Measure every algorithm thoroughly. Collective."""
        self._saved = measure_thoroughly(self._group)
        self._settle()

    def save(self) -> str:
        """Save the tuned table, on the calling rank; return the file."""
        if self._saved is None:
            raise RuntimeError("nothing was tuned yet")
        return save(self._group, self._saved)

    def _settle(self) -> None:
        """Let the team be asked first, as far as it would be chosen for every operator that it knows."""
        self._chosen.clear()
        group = self._group
        if group.team is None or len(group.topology.sizes) > 1:
            return
        self.team = group.team
        two = group.comm.size == 2
        measured = self._saved or (self._measured if two else None)
        slower = []
        if measured is not None:
            rivals = ("node", "ring", "native") if two else ("node", "ring")
            sizes = [n for n, _ in measured.samples.get("node", []) if self._saved or n >= SURE_BYTES]
            slower = [n for n in sizes if measured.choose(n, rivals, "node") != "node"]
        group.team.users_high = min(slower, default=ANY_BYTES) if self._saved else ANY_BYTES
        group.team.high = SURE_BYTES if two and measured is None else min(slower, default=ANY_BYTES)
