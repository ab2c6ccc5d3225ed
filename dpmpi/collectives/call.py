"""What one all-reduce is: what the ranks must agree on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels import node
from .buffers import dtype_name
from .compressed import Wire
from .guard import digest
from .operators import Operator

ORDERS = ("fixed", "any")


@dataclass(frozen=True)
class Call:
    """One all-reduce: what the ranks must agree on.

    Attributes:
        operator, dtype, n: the operator, and dtype and number of the elements.
        order: "fixed", or "any" when the ranks' values may be combined in another order from run to run.
        wire: how they travel between nodes; None for as they are.

    Raises ValueError for another order.
    """

    operator: Operator
    dtype: np.dtype
    n: int
    order: str = "fixed"
    wire: Wire | None = None

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {self.order!r}")

    def __str__(self) -> str:
        text = f"allreduce of {self.n} {dtype_name(self.dtype)}, op={self.operator.name}"
        if self.order != "fixed":
            text += f", order={self.order}"
        return text if self.wire is None else f"{text}, wire={self.wire}"

    @property
    def digest(self) -> int:
        """What is announced: the number that `node.Team.allreduce` forms, or else a digest of the text."""
        plain = self.order == "fixed" and self.wire is None
        number = node.signature(self.operator.code, self.dtype.newbyteorder("="), self.n) if plain else 0
        return number or digest(str(self))
