"""NumPy's array files, `.npy` and the arrays inside `.npz`: find an array and take rows of it, never unpickling."""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, Protocol

import numpy as np

from .errors import DataError

_KINDS = {
    "O": "Python objects, which only unpickling could read",
    "c": "complex numbers",
    "V": "structured records",
    "U": "text",
    "S": "text",
    "M": "dates",
    "m": "time spans",
}


class Array(Protocol):
    """An array in a file, without its content. `seekable`: whether rows in its middle are as near as the first."""

    @property
    def path(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def seekable(self) -> bool: ...

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``[start, stop)``, C-contiguous, in the stored dtype. Raises DataError when the file is damaged."""
        ...


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: where it is and what it is, without its content.

    `offset` is where the numbers begin: in the file, or in the unpacked `member` when that is compressed.
    """

    path: str
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int
    member: str | None = None

    @property
    def seekable(self) -> bool:
        """Whether the array lies in the file as it is in memory."""
        return self.member is None

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``[start, stop)``, C-contiguous, in the stored dtype.

        A compressed array is unpacked as a stream up to `stop`. Raises DataError when the archive is damaged.
        """
        if 0 in self.shape or start == stop:
            return np.empty((stop - start, *self.shape[1:]), self.dtype)
        if self.member is None and not self.fortran:
            return self._read(start, stop)
        if self.member is None:
            stored = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, "F" if self.fortran else "C")
            return np.array(stored[start:stop], order="C")
        # In Fortran order each column holds a run of the rows, in C order the whole array is one run.
        runs = math.prod(self.shape[1:]) if self.fortran else 1
        step = self.dtype.itemsize * math.prod(self.shape) // (runs * self.shape[0])
        pieces = []
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                for run in range(runs):
                    file.seek(self.offset + step * (run * self.shape[0] + start))
                    pieces.append(file.read(step * (stop - start)))
            flat = np.frombuffer(b"".join(pieces), self.dtype)
            if self.fortran:
                return np.ascontiguousarray(flat.reshape(*self.shape[:0:-1], stop - start).T)
            return flat.reshape(stop - start, *self.shape[1:])
        except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
            raise DataError(f"{self.path}: array {self.name!r} is damaged: {error}") from error

    def _read(self, start: int, stop: int) -> np.ndarray:
        """Rows that lie in the file one behind the other: to read them is faster than to touch mapped pages."""
        width = math.prod(self.shape[1:])
        offset = self.offset + start * width * self.dtype.itemsize
        try:
            with open(self.path, "rb", buffering=0) as file:
                flat = np.fromfile(file, self.dtype, (stop - start) * width, offset=offset)
                if hasattr(os, "posix_fadvise"):  # most likely the rows behind are next: let the disk begin
                    os.posix_fadvise(file.fileno(), offset + flat.nbytes, 4 * flat.nbytes, os.POSIX_FADV_WILLNEED)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        if len(flat) < (stop - start) * width:
            raise DataError(f"{self.path}: the file has become shorter while it was read")
        return flat.reshape(stop - start, *self.shape[1:])


def open_npy(path: str) -> StoredArray:
    """The array of a `.npy` file. Raises DataError when it is no such file or is cut short."""
    with open(path, "rb") as file:
        return _describe(file, path, "array", os.fstat(file.fileno()).st_size, 0, None)


def open_npz(path: str) -> dict[str, StoredArray]:
    """The arrays of a `.npz` file by name. Raises DataError when it is no such file or is damaged."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as raw:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name == info.filename:
                    continue
                begin = None
                if info.compress_type == zipfile.ZIP_STORED:
                    raw.seek(info.header_offset + 26)
                    begin = info.header_offset + 30 + sum(struct.unpack("<HH", raw.read(4)))
                with archive.open(info) as file:
                    arrays[name] = _describe(file, path, name, info.file_size, begin, info.filename)
    except (OSError, EOFError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a usable .npz archive: {error}") from error
    return arrays


def _describe(file: IO[bytes], path: str, name: str, size: int, begin: int | None, member: str | None) -> StoredArray:
    """Read an array's header. `begin` is where its bytes start in the file, or None when they are compressed."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: {name!r} is not a NumPy array file: {error}") from error
    offset = file.tell()
    if not dtype.hasobject and size - offset < math.prod(shape) * dtype.itemsize:
        need = math.prod(shape) * dtype.itemsize
        raise DataError(f"{path}: {name!r} is cut short: {size - offset} of {need} bytes are there")
    if begin is not None:
        return StoredArray(path, name, dtype, shape, fortran, begin + offset)
    return StoredArray(path, name, dtype, shape, fortran, offset, member)


def check_numeric(array: Array, ndim: int) -> None:
    """Raise DataError unless the array holds real numbers (or booleans) in `ndim` dimensions."""
    if array.dtype.kind not in "biuf":
        what = _KINDS.get(array.dtype.kind, str(array.dtype))
        raise DataError(f"{array.path}: {array.name!r} holds {what}; save real numbers")
    if len(array.shape) != ndim:
        wanted = "(rows, columns)" if ndim == 2 else "(rows,)"
        raise DataError(f"{array.path}: {array.name!r} has the shape {array.shape}; reshape it to {wanted}")


def as_float(array: np.ndarray) -> np.ndarray:
    """The same numbers in native float32 where they are float16 or float32, else in native float64."""
    small = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return array.astype(np.float32 if small else np.float64, copy=False)
