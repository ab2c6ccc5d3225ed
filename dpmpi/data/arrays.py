"""Stored arrays, `.npy`, `.npz` and HDF5: each rank takes its blocks of rows out of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np

from dpmpi.kernels.transpose import all_finite

from .buffers import Buffers
from .columns import Choice, Picked, Wanted, check_sparse, choose
from .errors import BadRow, DataError, Fault, suggest
from .hdf5 import open_hdf5
from .reader import Piece
from .source import Source
from .sparse import make_csr
from .stored import Array, StoredArray, as_float, check_numeric, float_dtype, open_npy, open_npz
from .table import Block

_CSR = {"data", "indices", "indptr", "shape", "format"}  # what scipy.sparse.save_npz writes


class ArrayReader:
    """Files that hold X, and perhaps y and weights, as arrays; see `reader.Reader`.

    In `.npz` and HDF5, X is the array ``X``, or CSR as scipy.sparse.save_npz writes it; target and weight name another
    array, or give the number of a column of a dense X. Without a target, y is the array ``y`` where there is one.
    """

    columns = None
    text_lines = None

    def __init__(self, sources: Sequence[Source], wanted: Wanted) -> None:
        self._files = [_File(source, wanted) for source in sources]
        first = self._files[0]
        for file in self._files:
            if (file.n_columns, file.target, file.sparse) != (first.n_columns, first.target, first.sparse):
                raise DataError(
                    f"{file.path}: {file.n_columns} columns for X and the target {file.target}, but {first.path} has "
                    f"{first.n_columns} and {first.target}; give files of one kind"
                )
        self.target, self.picked = first.target, first.picked
        self.n_columns = first.n_columns
        self.extents = [file.n_rows for file in self._files]
        self.row_bytes = max(file.row_bytes for file in self._files)

    def cut(self, file: int, start: int, stop: int, size: int) -> list[Piece]:
        """Cut at every so many rows; a compressed array in Fortran order is one piece."""
        step = max(1, size // self.row_bytes) if self._files[file].cuttable else max(1, stop - start)
        return [
            Piece(file, low, min(low + step, stop), min(low + step, stop) - low, low - start)
            for low in range(start, stop, step)
        ]

    def read(self, pieces: Sequence[Piece]) -> Iterator[Block]:
        """X as stored in float32 or float64, or csr_array; y and sample_weight float64."""
        file = self._files[pieces[0].file]
        file.source.check()
        with file.reading() as opened:
            for piece in pieces:
                yield opened.rows(piece.start, piece.stop)
        file.source.check()

    def empty(self) -> Block:
        """No rows."""
        return self._files[0].rows(0, 0)


class _File:
    """One file: its arrays, and which of them become what."""

    def __init__(self, source: Source, wanted: Wanted) -> None:
        self.path = path = source.path
        self.source = source
        self._arrays = _OPEN[source.format](path)
        arrays = self._arrays
        target = wanted.target
        if "y" in arrays and (target is None or (target not in arrays and not wanted.target_required)):
            target = "y"
        self._y, self._weight = arrays.get(str(target)), arrays.get(str(wanted.weight))
        # What names no array is a column of X.
        wanted = wanted._replace(target=None if self._y else target, weight=None if self._weight else wanted.weight)
        self.sparse = source.format == "npz" and arrays.keys() >= _CSR
        self.n_rows, width = _csr_shape(path, arrays) if self.sparse else _dense_shape(path, arrays)
        if self.n_rows == 0:
            raise DataError(f"{path}: no rows: the array is empty")
        self._choice = self.picked = None
        self._buffers, self._good = Buffers(), _Rows()
        if self.sparse:
            _check_sparse(path, arrays, wanted, width)
        else:
            self._choice = choose(path, wanted, width, None)
            self.picked = Picked(self._choice.features, width)
        self.n_columns = width if self._choice is None else len(self._choice.features)
        for vector in (self._y, self._weight):
            if vector is not None:
                _check_vector(vector, self.n_rows)
        has_target = self._y is not None or (self._choice is not None and self._choice.target is not None)
        self.target = str(target) if has_target else None
        self.cuttable = all(array.cuttable for array in arrays.values())
        if self.sparse:
            loaded = arrays["data"].shape[0] * 12 // self.n_rows
        else:
            loaded = width * float_dtype(arrays["X"].dtype).itemsize
        self.row_bytes = max(1, loaded + 16)

    @contextmanager
    def reading(self) -> Iterator[_File]:
        """The same file, to be asked for rows in their order."""
        with ExitStack() as stack:
            opened = copy.copy(self)
            opened._buffers = Buffers()  # of one pass
            opened._arrays = {name: stack.enter_context(array.reading()) for name, array in self._arrays.items()}
            opened._y, opened._weight = (
                None if array is None else stack.enter_context(array.reading()) for array in (self._y, self._weight)
            )
            yield opened

    def rows(self, start: int, stop: int) -> Block:
        """Rows ``[start, stop)``. Raises BadRow, and DataError when the file is damaged."""
        check = not self._good.cover(start, stop)
        if self._choice is None:
            block, faults = _take_csr(self._arrays, self.n_columns, start, stop)
        else:
            block, faults = _take_dense(self._arrays["X"], self._choice, self._buffers, start, stop, check)
        if self._y is not None:
            y = self._y.rows(start, stop).astype(np.float64)
            block = block._replace(y=y)
            faults.append(_not_finite(y, self._y.name, start))
        if self._weight is not None:
            weight = self._weight.rows(start, stop).astype(np.float64)
            block = block._replace(sample_weight=weight)
            faults += [_not_finite(weight, self._weight.name, start), _negative(weight, self._weight.name, start)]
        first = min((fault for fault in faults if fault is not None), default=None)
        if first is not None:
            raise BadRow(first._replace(row=first.row - start))
        self._good.add(start, stop)
        return block


class _Rows:
    """The run of rows that have been read and found good: they need no check as long as the file has not changed."""

    def __init__(self) -> None:
        self._start = self._stop = 0

    def cover(self, start: int, stop: int) -> bool:
        """Whether these are among them."""
        return self._start <= start and stop <= self._stop

    def add(self, start: int, stop: int) -> None:
        """Count these as well, where they follow on what is known; others are checked again."""
        if self._start == self._stop:
            self._start, self._stop = start, stop
        elif start <= self._stop < stop and self._start <= start:
            self._stop = stop


def _open_npy(path: str) -> dict[str, StoredArray]:
    array = open_npy(path)
    return {"X": array}


_OPEN: dict[str, Callable[[str], Mapping[str, Array]]] = {"npy": _open_npy, "npz": open_npz, "hdf5": open_hdf5}


def _dense_shape(path: str, arrays: Mapping[str, Array]) -> tuple[int, int]:
    if "X" not in arrays:
        raise DataError(
            f"{path}: no array 'X'{suggest('X', list(arrays))}; save the rows as X, as np.savez(file, X=X, y=y) does"
        )
    check_numeric(arrays["X"], 2)
    return arrays["X"].shape[0], arrays["X"].shape[1]


def _check_sparse(path: str, arrays: Mapping[str, Array], wanted: Wanted, n_columns: int) -> None:
    """Nothing of a sparse X can be picked by column. `wanted` is what names no array."""
    unknown = wanted.target if wanted.target_required and wanted.target is not None else wanted.weight
    if unknown is not None:
        known = [name for name in arrays if name not in _CSR]
        raise DataError(f"{path}: X is sparse, and {str(unknown)!r} names no other array{suggest(str(unknown), known)}")
    check_sparse(path, wanted, n_columns)


def _take_dense(
    array: Array, choice: Choice, buffers: Buffers, start: int, stop: int, check: bool
) -> tuple[Block, list[Fault | None]]:
    """Split rows of one matrix, a few at a time where they are copied or checked: they are then still in the cache."""
    features = list(choice.features)
    low, high = (features[0], features[-1] + 1) if features else (0, 0)
    # A slice is copied many times faster than columns that are picked.
    picked = slice(low, high) if features == list(range(low, high)) else features
    others = [column for column in (choice.target, choice.weight) if column is not None]
    width, dtype = array.shape[1], float_dtype(array.dtype)
    # Columns that stand side by side and are most of a row are not copied at all.
    in_place = array.dtype == dtype and isinstance(picked, slice) and 2 * len(features) >= width
    X = buffers.take((stop - start, width if in_place else len(features)), dtype)
    vectors = np.empty((len(others), stop - start))
    finite = True
    step = max(1, stop - start) if in_place and not check else array.part_rows
    for first in range(0, stop - start, step):
        part = slice(first, min(first + step, stop - start))
        rows = array.rows(start + part.start, start + part.stop, X[part] if in_place else None)
        if not in_place:
            rows = as_float(rows)
            X[part] = rows[:, picked]
        for vector, column in zip(vectors, others, strict=True):
            vector[part] = rows[:, column]
        finite = finite and (not check or all_finite(rows))
    if in_place:
        X = X[:, picked]
    y = None if choice.target is None else vectors[0]
    weight = None if choice.weight is None else vectors[-1]
    if finite and (weight is None or not (weight < 0).any()):
        return Block(X, y, weight), []
    faults = [_not_finite(X, array.name, start, features, choice.missing)]
    faults += [
        _not_finite(vector[:, None], array.name, start, [column])
        for vector, column in zip(vectors, others, strict=True)
    ]
    if weight is not None:
        faults.append(_negative(weight, f"weight, column {choice.weight} of {array.name}", start))
    return Block(X, y, weight), faults


def _check_vector(array: Array, n_rows: int) -> None:
    check_numeric(array, 1)
    if array.shape[0] != n_rows:
        raise DataError(f"{array.path}: {array.name!r} has {array.shape[0]} rows, X has {n_rows}; they must match")


def _csr_shape(path: str, arrays: Mapping[str, Array]) -> tuple[int, int]:
    """Check the parts of a saved sparse matrix against each other and return its shape."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            layout, shape = archive["format"].item(), archive["shape"].tolist()
    except Exception as error:  # see `stored`: of all kinds
        raise DataError(f"{path}: not a usable sparse matrix: {error}") from error
    if layout not in (b"csr", "csr"):
        raise DataError(f"{path}: the sparse format is {layout!r}; save X.tocsr()")
    for name in ("data", "indices", "indptr"):
        check_numeric(arrays[name], 1)
    consistent = (
        isinstance(shape, list)
        and len(shape) == 2
        and all(isinstance(n, int) and n >= 0 for n in shape)
        and arrays["indptr"].shape[0] == shape[0] + 1
        and arrays["indices"].shape == arrays["data"].shape
        and arrays["indptr"].dtype.kind in "iu"
        and arrays["indices"].dtype.kind in "iu"
    )
    if not consistent:
        raise DataError(f"{path}: shape, indptr, indices and data do not make a CSR matrix; the file is damaged")
    return shape[0], shape[1]


def _take_csr(arrays: Mapping[str, Array], n_columns: int, start: int, stop: int) -> tuple[Block, list[Fault | None]]:
    """Rows ``[start, stop)`` of a saved CSR matrix as X."""
    indptr = arrays["indptr"].rows(start, stop + 1).astype(np.int64)
    first, last = int(indptr[0]), int(indptr[-1])
    if first < 0 or last > arrays["data"].shape[0] or (start == 0 and first != 0) or (np.diff(indptr) < 0).any():
        raise DataError(f"{arrays['indptr'].path}: indptr does not increase from 0; the file is damaged")
    values = as_float(arrays["data"].rows(first, last))
    indices = arrays["indices"].rows(first, last)
    if len(indices) and (indices.min() < 0 or indices.max() >= n_columns):
        raise DataError(f"{arrays['indices'].path}: a column index is outside the {n_columns} columns")
    fault = None
    finite = np.isfinite(values)
    if not finite.all():
        at = int(np.argmin(finite))
        row = start + int(np.searchsorted(indptr, first + at, side="right")) - 1
        fault = _must_be_finite(row, f"X[{row}, {indices[at]}]", values[at])
    return Block(make_csr(values, indices, indptr - first, (stop - start, n_columns)), None, None), [fault]


def _not_finite(
    array: np.ndarray, name: str, start: int, columns: Sequence[int] = (), missing: bool = False
) -> Fault | None:
    """The first row that is not finite, by its global number: row 0 is `start`, column j is ``columns[j]``."""
    finite = ~np.isinf(array) if missing else np.isfinite(array)
    if finite.all():
        return None
    position = tuple(int(k) for k in np.argwhere(~finite)[0])
    row = start + position[0]
    place = ", ".join(map(str, [row, *(columns[j] for j in position[1:])]))
    return _must_be_finite(row, f"{name}[{place}]", array[position])


def _must_be_finite(row: int, place: str, value: np.floating) -> Fault:
    return Fault(row, f"{place} is {value}; every number must be finite: fill in a number or leave such rows out")


def _negative(weight: np.ndarray, name: str, start: int) -> Fault | None:
    """The first negative weight, as `_not_finite`."""
    if not (weight < 0).any():
        return None
    row = int(np.argmax(weight < 0))
    return Fault(start + row, f"{name} is {weight[row]}, but a weight must not be negative")
