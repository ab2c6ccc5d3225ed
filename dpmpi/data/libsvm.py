"""libsvm (svmlight) text: sparse rows with a label, parsed by `dpmpi.kernels.libsvm` on each rank's own lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dpmpi.kernels import libsvm

from .columns import Wanted, check_sparse
from .errors import BadRow, DataError, Fault
from .lines import cut_lines, read_lines
from .reader import Piece
from .source import Source
from .sparse import make_csr
from .table import Block

LABEL = "label"  # what Table.target says: the format has no name for it


class LibsvmReader:
    """libsvm files, labels as y; see `reader.Reader`."""

    columns = None
    picked = None
    target = LABEL
    row_bytes = None

    def __init__(self, sources: Sequence[Source], wanted: Wanted) -> None:
        if (
            wanted.weight is not None
            or wanted.columns is not None
            or (wanted.target_required and wanted.target not in (None, LABEL))
        ):
            raise DataError(
                f"{sources[0].path}: in libsvm text the label is the target; leave target, columns and weight out"
            )
        check_sparse(sources[0].path, wanted, wanted.n_columns or 0)
        self.sources = sources
        self.n_columns = wanted.n_columns
        self.extents = [source.size for source in sources]
        self.text_lines = [0] * len(sources)

    def cut(self, file: int, start: int, stop: int, size: int) -> list[Piece]:
        """Cut at newlines; blank lines and comments are no rows."""
        return cut_lines(self.sources[file], file, 0, start, stop, size, _is_row)

    def read(self, pieces: Sequence[Piece]) -> Iterator[Block]:
        """X csr_array float64 (n, d), y float64 (n,)."""
        for _, data in read_lines(self.sources[pieces[0].file], pieces):
            yield parse(self.n_columns, data)

    def empty(self) -> Block:
        """No rows."""
        return parse(self.n_columns, b"")


def _is_row(line: bytes) -> bool:
    return bool(line.partition(b"#")[0].strip(b" \t\r\n"))


def parse(n_columns: int | None, data: bytes | memoryview) -> Block:
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
        raise BadRow(Fault(row, reason, _line_of_row(bytes(data), row)))
    shape = (len(y), width if n_columns is None else n_columns)
    return Block(make_csr(values, indices, indptr, shape), y, None)


def _line_of_row(data: bytes, row: int) -> int:
    lines = enumerate(data.split(b"\n"))
    return [number for number, line in lines if _is_row(line)][row]
