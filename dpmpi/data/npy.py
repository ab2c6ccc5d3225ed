"""`.npy` and `.npz`: each rank takes its block of rows out of the stored arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dpmpi import partition

from .columns import Choice, Wanted, choose
from .errors import DataError, Fault, raise_fault, suggest
from .ranks import Ranks
from .source import Source
from .sparse import make_csr
from .stored import StoredArray, as_float, check_numeric, open_npy, open_npz
from .table import Block, Table

_CSR = {"data", "indices", "indptr", "shape", "format"}  # what scipy.sparse.save_npz writes


def read_npy(source: Source, ranks: Ranks, wanted: Wanted) -> Table:
    """Read this rank's rows of a 2-D `.npy` file; collective. Raises DataError, see `read`."""
    with ranks.together():
        array = open_npy(source.path)
        check_numeric(array, 2)
        n_rows, n_columns = array.shape
        _check_some_rows(source, n_rows)
        choice = choose(source.path, wanted, n_columns, None)
        start, stop = partition.block(n_rows, ranks.size, ranks.rank)
        block, faults = _take_dense(array, choice, start, stop)
    _agree_faults(source.path, ranks, faults)
    named = None if choice.target is None else str(choice.target)
    return Table(*block, columns=None, target=named, start=start, n_rows=n_rows, source=source.path)


def read_npz(source: Source, ranks: Ranks, wanted: Wanted) -> Table:
    """Read this rank's rows of a `.npz` archive; collective. Raises DataError, see `read`.

    X is the array ``X``, or CSR as scipy.sparse.save_npz writes it; target and weight name another array, or give
    the number of a column of a dense X. Without a target, y is the array ``y`` where there is one.
    """
    path = source.path
    with ranks.together():
        arrays = open_npz(path)
        target = wanted.target
        if "y" in arrays and (target is None or (target not in arrays and not wanted.target_required)):
            target = "y"
        y_array, weight_array = arrays.get(str(target)), arrays.get(str(wanted.weight))
        # What names no array is a column of X.
        wanted = wanted._replace(target=None if y_array else target, weight=None if weight_array else wanted.weight)
        sparse = arrays.keys() >= _CSR
        n_rows, n_columns = _csr_shape(path, arrays) if sparse else _dense_shape(path, arrays)
        _check_some_rows(source, n_rows)
        start, stop = partition.block(n_rows, ranks.size, ranks.rank)
        if sparse:
            _check_sparse(path, arrays, wanted)
            block, faults = _take_csr(arrays, n_columns, start, stop)
        else:
            block, faults = _take_dense(arrays["X"], choose(path, wanted, n_columns, None), start, stop)
        if y_array:
            y = _take_vector(y_array, n_rows, start, stop)
            block = block._replace(y=y)
            faults.append(_not_finite(y, y_array.name, start))
        if weight_array:
            weight = _take_vector(weight_array, n_rows, start, stop)
            block = block._replace(sample_weight=weight)
            faults += [_not_finite(weight, weight_array.name, start), _negative(weight, weight_array.name, start)]
    _agree_faults(path, ranks, faults)
    named = None if block.y is None else str(target)
    return Table(*block, columns=None, target=named, start=start, n_rows=n_rows, source=path)


def _dense_shape(path: str, arrays: dict[str, StoredArray]) -> tuple[int, int]:
    if "X" not in arrays:
        raise DataError(f"{path}: no array 'X'{suggest('X', list(arrays))}; save it as np.savez(file, X=X, y=y)")
    check_numeric(arrays["X"], 2)
    return arrays["X"].shape[0], arrays["X"].shape[1]


def _check_sparse(path: str, arrays: dict[str, StoredArray], wanted: Wanted) -> None:
    """Nothing of a sparse X can be picked by column. `wanted` is what names no array."""
    unknown = wanted.target if wanted.target_required and wanted.target is not None else wanted.weight
    if unknown is not None:
        known = [name for name in arrays if name not in _CSR]
        raise DataError(f"{path}: X is sparse, and {str(unknown)!r} names no other array{suggest(str(unknown), known)}")
    if wanted.columns is not None:
        raise DataError(f"{path}: X is sparse: its columns cannot be chosen; leave columns out")


def _check_some_rows(source: Source, n_rows: int) -> None:
    if n_rows == 0:
        raise DataError(f"{source.path}: no rows: the array is empty")


def _take_dense(array: StoredArray, choice: Choice, start: int, stop: int) -> tuple[Block, list[Fault | None]]:
    """Split rows of one matrix; X is the matrix itself where that holds nothing else."""
    rows = as_float(array.rows(start, stop))
    features = list(choice.features)
    others = [column for column in (choice.target, choice.weight) if column is not None]
    X = rows if features == list(range(rows.shape[1])) else np.ascontiguousarray(rows[:, features])
    y = None if choice.target is None else rows[:, choice.target].astype(np.float64)
    weight = None if choice.weight is None else rows[:, choice.weight].astype(np.float64)
    faults = [_not_finite(X, array.name, start, features)]
    faults += [_not_finite(rows[:, [column]], array.name, start, [column]) for column in others]
    if weight is not None:
        faults.append(_negative(weight, f"weight, column {choice.weight} of {array.name}", start))
    return Block(X, y, weight), faults


def _take_vector(array: StoredArray, n_rows: int, start: int, stop: int) -> np.ndarray:
    """Rows of y or sample_weight as float64."""
    check_numeric(array, 1)
    if array.shape[0] != n_rows:
        raise DataError(f"{array.path}: {array.name!r} has {array.shape[0]} rows, X has {n_rows}; they must match")
    return array.rows(start, stop).astype(np.float64)


def _csr_shape(path: str, arrays: dict[str, StoredArray]) -> tuple[int, int]:
    """Check the parts of a saved sparse matrix against each other and return its shape."""
    with np.load(path, allow_pickle=False) as archive:
        layout, shape = archive["format"].item(), archive["shape"].tolist()
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


def _take_csr(
    arrays: dict[str, StoredArray], n_columns: int, start: int, stop: int
) -> tuple[Block, list[Fault | None]]:
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


def _not_finite(array: np.ndarray, name: str, start: int, columns: Sequence[int] = ()) -> Fault | None:
    """The first row that is not finite, by its global number: row 0 is `start`, column j is ``columns[j]``."""
    finite = np.isfinite(array)
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


def _agree_faults(path: str, ranks: Ranks, faults: Sequence[Fault | None]) -> None:
    """Raise the first of all ranks' faults, rows numbered globally, as the same DataError everywhere; collective."""
    found = [tuple(fault) for fault in faults if fault is not None]
    first = min((fault for told in ranks.share(found) for fault in told), default=None)
    if first is not None:
        raise_fault(path, Fault(*first), 0)
