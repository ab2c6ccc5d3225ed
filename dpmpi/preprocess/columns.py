"""The columns of a block of rows, as transformers see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Text(NamedTuple):
    """A column of text: the number of each row's text among `values`, -1 where it is missing.

    codes : int32 (n,).  values : the different texts of this block, in any order.
    """

    codes: np.ndarray
    values: tuple[str, ...]


class Columns(NamedTuple):
    """The numbers of a block as X (n, d), one name a column, NaN where missing; and its columns of text by name.

    X is float64 or float32, at the end of a pipeline perhaps a csr_array.
    """

    names: tuple[str, ...]
    X: Any
    text: Mapping[str, Text]

    def find(self, columns: tuple[str, ...] | None) -> list[int]:
        """The numbers of the named columns of X; of all for None. Raises ValueError for a name that is none."""
        if columns is None:
            return list(range(len(self.names)))
        for name in columns:
            if name not in self.names:
                what = "text; encode it first" if name in self.text else f"not among {', '.join(self.names)}"
                raise ValueError(f"column {name!r} is {what}")
        return [self.names.index(name) for name in columns]


class RowError(ValueError):
    """A row that a transformer cannot take: `row` counts from 0 within the block."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row, self.reason = row, reason
