"""libsvm (svmlight) text: sparse rows with a label, parsed by `dpmpi.kernels.libsvm` on each rank's own lines."""

from __future__ import annotations

from functools import partial

import numpy as np

from dpmpi.kernels import libsvm

from .errors import BadRow, Fault
from .lines import parse_lines
from .ranks import Ranks
from .source import Source
from .sparse import make_csr
from .table import Block, Table

LABEL = "label"  # what Table.target says: the format has no name for it


def read_libsvm(source: Source, ranks: Ranks, n_columns: int | None = None) -> Table:
    """Read this rank's rows, labels as y; collective. Raises DataError, see `read`."""
    block, start, n_rows = parse_lines(source, ranks, 0, 0, partial(parse, n_columns))
    X = block.X
    if n_columns is None:  # each rank knows its own last column only
        n_columns = max(ranks.share(X.shape[1]))
        X.resize((X.shape[0], n_columns))
    return Table(X, block.y, None, None, LABEL, start, n_rows, source.path)


def parse(n_columns: int | None, data: bytes) -> Block:
    """Parse whole lines: X csr_array float64 (n, d), y float64 (n,). Raises BadRow at the first bad row.

    `n_columns` None makes X as wide as its last non-zero column; otherwise a column behind `n_columns` is a bad row.
    """
    try:
        y, indptr, indices, values = libsvm.parse(data)
    except libsvm.LibsvmError as error:
        raise BadRow(Fault(error.row, error.reason, error.line)) from None
    width = int(indices.max(initial=-1)) + 1
    if n_columns is not None and width > n_columns:
        first = int(np.argmax(indices >= n_columns))
        row = int(np.searchsorted(indptr, first, side="right")) - 1
        reason = f"column {indices[first] + 1}, but there are only {n_columns} columns; is this the right data set?"
        raise BadRow(Fault(row, reason, _line_of_row(data, row)))
    shape = (len(y), width if n_columns is None else n_columns)
    return Block(make_csr(values, indices, indptr, shape), y, None)


def _line_of_row(data: bytes, row: int) -> int:
    lines = enumerate(data.split(b"\n"))
    rows = [number for number, line in lines if line.partition(b"#")[0].strip(b" \t\r")]
    return rows[row]
