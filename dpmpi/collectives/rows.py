"""Rows from one rank to their owners, and back.

Arrays travel in pieces of at most PIECE_BYTES, so neither the number of rows nor their bytes meet an MPI limit and
root needs no second copy of what it holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..partition import block
from .mpi import MPI

PIECE_BYTES = 64 << 20
_TAG = 8


@dataclass(frozen=True)
class Layout:
    """What a receiver must know of one of root's arrays: all but its contents."""

    kind: str  # "none", "dense" or "csr"; "csr_array" for SciPy's newer class
    shape: tuple[int, ...] = ()
    dtype: str = ""
    index_dtype: str = ""


def describe(arrays: tuple[Any, ...]) -> tuple[list[Any], list[Layout]]:
    """Return root's `arrays` as ndarrays or SciPy CSR matrices, with their layouts.

    Raises TypeError for object arrays and ValueError for scalars or different row counts, naming the argument.
    """
    held: list[Any] = []
    layouts: list[Layout] = []
    for position, array in enumerate(arrays):
        if array is None:
            held.append(None)
            layouts.append(Layout("none"))
            continue
        if hasattr(array, "tocsr"):
            matrix = array.tocsr()
            kind = "csr_array" if type(array).__name__.endswith("_array") else "csr"
            layout = Layout(kind, matrix.shape, matrix.dtype.str, matrix.indices.dtype.str)
            held.append(matrix)
        else:
            dense = np.asarray(array)
            if dense.dtype.hasobject:
                raise TypeError(f"scatter: array {position} holds Python objects; give it a numeric dtype")
            if dense.ndim == 0:
                raise ValueError(f"scatter: array {position} is a scalar; only arrays with rows can be scattered")
            layout = Layout("dense", dense.shape, dense.dtype.str)
            held.append(dense)
        layouts.append(layout)
    counts = [layout.shape[0] for layout in layouts if layout.kind != "none"]
    if len(set(counts)) > 1:
        raise ValueError(f"scatter: the arrays must have the same number of rows, but have {counts}")
    return held, layouts


def scatter(comm: MPI.Intracomm, array: Any, layout: Layout, root: int) -> Any:
    """Give every rank its block of the rows of root's `array`; the shard is a new array in native byte order."""
    if layout.kind == "none":
        return None
    if layout.kind == "dense":
        return _scatter_dense(comm, array, layout, root)
    return _scatter_csr(comm, array, layout, root)


def gather(comm: MPI.Intracomm, array: np.ndarray, root: int) -> Iterator[np.ndarray]:
    """Yield at `root` every rank's C-contiguous `array` in rank order, one at a time; yield nothing elsewhere."""
    shapes = comm.gather((array.shape, array.dtype.str), root)
    if shapes is None:
        _send(comm, array, root)
        return
    for source, (shape, dtype) in enumerate(shapes):
        if source == root:
            yield array
        else:
            part = np.empty(shape, dtype)
            _receive(comm, part, source)
            yield part


def rotate(comm: MPI.Intracomm, array: np.ndarray) -> np.ndarray:
    """Send the C-contiguous `array` to the right neighbour and return the one that comes from the left."""
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    shape, dtype = comm.sendrecv((array.shape, array.dtype.str), right, _TAG, source=left, recvtag=_TAG)
    arriving = np.empty(shape, dtype)
    receives = [comm.Irecv(piece, left, _TAG) for piece in _messages(arriving)]
    sends = [comm.Isend(piece, right, _TAG) for piece in _messages(array)]
    MPI.Request.Waitall(receives + sends)
    return arriving


def _scatter_dense(comm: MPI.Intracomm, array: Any, layout: Layout, root: int) -> np.ndarray:
    rows, row_shape = layout.shape[0], layout.shape[1:]
    dtype = np.dtype(layout.dtype).newbyteorder("=")
    start, stop = block(rows, comm.size, comm.rank)
    if comm.rank != root:
        shard = np.empty((stop - start, *row_shape), dtype)
        _receive(comm, shard, root)
        return shard
    for dest in range(comm.size):
        if dest != root:
            low, high = block(rows, comm.size, dest)
            _send(comm, array[low:high], dest, dtype)
    return np.array(array[start:stop], dtype, order="C")


def _scatter_csr(comm: MPI.Intracomm, matrix: Any, layout: Layout, root: int) -> Any:
    from scipy import sparse

    rows, columns = layout.shape
    dtype = np.dtype(layout.dtype).newbyteorder("=")
    index_dtype = np.dtype(layout.index_dtype)
    start, stop = block(rows, comm.size, comm.rank)
    if comm.rank == root:
        for dest in range(comm.size):
            if dest != root:
                for part in _csr_rows(matrix, *block(rows, comm.size, dest)):
                    _send(comm, part, dest, dtype if part.dtype == matrix.dtype else None)
        indptr, indices, data = (np.array(part) for part in _csr_rows(matrix, start, stop))
    else:
        indptr = np.empty(stop - start + 1, index_dtype)
        _receive(comm, indptr, root)
        indices = np.empty(int(indptr[-1]), index_dtype)
        _receive(comm, indices, root)
        data = np.empty(int(indptr[-1]), dtype)
        _receive(comm, data, root)
    container = sparse.csr_array if layout.kind == "csr_array" else sparse.csr_matrix
    return container((data.astype(dtype, copy=False), indices, indptr), shape=(stop - start, columns))


def _csr_rows(matrix: Any, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, high = int(matrix.indptr[start]), int(matrix.indptr[stop])
    indptr = matrix.indptr[start : stop + 1] - matrix.indptr[start]
    return indptr.astype(matrix.indices.dtype, copy=False), matrix.indices[low:high], matrix.data[low:high]


def _pieces(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[int, int]]:
    """Cut the rows of an array into runs of about PIECE_BYTES, the same on both sides of a message."""
    row_bytes = itemsize * math.prod(shape[1:])
    step = max(1, PIECE_BYTES // max(1, row_bytes))
    if row_bytes:
        for low in range(0, shape[0], step):
            yield low, min(low + step, shape[0])


def _messages(array: np.ndarray) -> list[np.ndarray]:
    """Return the pieces of a C-contiguous array as bytes, without a copy."""
    return [array[low:high].reshape(-1).view(np.uint8) for low, high in _pieces(array.shape, array.itemsize)]


def _send(comm: MPI.Intracomm, array: np.ndarray, dest: int, dtype: np.dtype | None = None) -> None:
    """Send `array` (any strides; converted to `dtype` if given) piece by piece."""
    dtype = array.dtype if dtype is None else dtype
    for low, high in _pieces(array.shape, dtype.itemsize):
        piece = np.ascontiguousarray(array[low:high], dtype)
        comm.Send(piece.reshape(-1).view(np.uint8), dest, _TAG)


def _receive(comm: MPI.Intracomm, array: np.ndarray, source: int) -> None:
    """Receive into the C-contiguous `array` what `_send` sends."""
    for piece in _messages(array):
        comm.Recv(piece, source, _TAG)
