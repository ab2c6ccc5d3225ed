"""HDF5: the datasets of a file as arrays, read by h5py."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

import numpy as np

from .errors import DataError


@dataclass(frozen=True)
class Hdf5Array:
    """A dataset of an HDF5 file; see `stored.Array`. `key` is its path in the file."""

    path: str
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    key: str
    cuttable: bool = True

    @property
    def part_rows(self) -> int:
        """All at once: chunks may be compressed, and every call costs."""
        return max(1, self.shape[0])

    def reading(self) -> AbstractContextManager[Hdf5Array]:
        """The same array: its rows are as near in any order."""
        return nullcontext(self)

    def rows(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows ``[start, stop)``, C-contiguous, in the stored dtype; in `out` where that is given.

        Raises DataError when the file is damaged.
        """
        import h5py

        if out is None:
            out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        try:
            with h5py.File(self.path, "r", locking=False) as file:
                if out.size:
                    file[self.key].read_direct(out, np.s_[start:stop])
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise DataError(f"{self.path}: dataset {self.key!r} is damaged: {error}") from error
        return out


def open_hdf5(path: str) -> dict[str, Hdf5Array]:
    """The datasets of the file by name, those in groups by their path.

    Where none is called ``X`` and a single one has two dimensions, that is X. Raises DataError when it is no such file
    or is damaged, or when h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise DataError(f"{path}: reading HDF5 needs h5py: pip install 'dpmpi[io]'") from None
    arrays: dict[str, Hdf5Array] = {}

    def add(key: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:  # an empty dataset holds no array
            with suppress(TypeError, ValueError):  # a type that NumPy has not, such as bit fields
                arrays[key] = Hdf5Array(path, key, item.dtype, item.shape, key)

    try:
        with h5py.File(path, "r", locking=False) as file:
            file.visititems(add)
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path}: not a usable HDF5 file: {error}") from error
    matrices = [array for array in arrays.values() if len(array.shape) == 2]
    if "X" not in arrays and len(matrices) == 1:
        arrays["X"] = matrices[0]
    return arrays
