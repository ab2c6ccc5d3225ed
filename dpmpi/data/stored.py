"""NumPy's array files, `.npy` and the arrays inside `.npz`: find an array and take rows of it, never unpickling."""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
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


_CHUNK = 1 << 19  # bytes that are unpacked, or read to be taken apart, at a time: they stay in the cache
_AHEAD = 8 << 20  # bytes behind those that were read which the disk is asked for
_KEPT = 16  # of the bytes read last: of CSR's pointers the last of a block is the first of the next


class Array(Protocol):
    """An array in a file, without its content.

    `cuttable`: whether `reading` it block by block reads nothing twice. `part_rows`: how many rows to ask for at a time
    where they are to be copied elsewhere.
    """

    @property
    def path(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def cuttable(self) -> bool: ...

    @property
    def part_rows(self) -> int: ...

    def reading(self) -> AbstractContextManager[Array]:
        """The same array, to be asked for rows in their order."""
        ...

    def rows(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows ``[start, stop)``, C-contiguous, in the stored dtype; in `out` where that is given.

        Raises DataError when the file is damaged.
        """
        ...


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: where it is and what it is, without its content.

    `offset` is where the numbers begin: in the file, or in the unpacked `member` when that is compressed. `opened` is
    that file or member while it is being read.
    """

    path: str
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int
    member: str | None = None
    opened: Plain | Unpacked | None = None

    @property
    def cuttable(self) -> bool:
        """False where every block of rows lies scattered over a compressed array."""
        return self.member is None or not self.fortran

    @property
    def part_rows(self) -> int:
        """As many as fit into the cache, where they lie one behind the other."""
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        return max(1, self.shape[0] if self.member or self.fortran else _CHUNK // max(1, row_bytes))

    @contextmanager
    def reading(self) -> Iterator[StoredArray]:
        """The same array, to be asked for rows in their order: what is compressed is unpacked once."""
        with closing(Plain(self.path) if self.member is None else Unpacked(self.path, self.member)) as opened:
            yield replace(self, opened=opened)

    def rows(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows ``[start, stop)``, C-contiguous, in the stored dtype; in `out` where that is given.

        A compressed array is unpacked up to `stop`, see `reading`. Raises DataError when the file is damaged.
        """
        if out is None:
            out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if out.size == 0:
            return out
        if self.member is None and self.fortran:
            out[...] = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, "F")[start:stop]
            return out
        if self.opened is None:
            with self.reading() as array:
                return array.rows(start, stop, out)
        # In Fortran order each column holds a run of the rows, in C order the whole array is one run.
        runs = math.prod(self.shape[1:]) if self.fortran else 1
        step = self.dtype.itemsize * math.prod(self.shape) // (runs * self.shape[0])
        flat = (np.empty_like(out) if self.fortran else out).reshape(-1).view(np.uint8).reshape(runs, -1)
        try:
            for run in range(runs):
                self.opened.read(self.offset + step * (run * self.shape[0] + start), flat[run])
        except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
            raise DataError(f"{self.path}: array {self.name!r} is damaged: {error}") from error
        if self.fortran:
            out[...] = flat.reshape(-1).view(self.dtype).reshape(*self.shape[:0:-1], stop - start).T
        return out


class Plain:
    """The bytes of a file. To read them is faster than to touch mapped pages."""

    def __init__(self, path: str) -> None:
        self._file = io.FileIO(path)
        self._asked: int | None = None  # how far the disk was asked to read ahead; None: the cache had all so far
        self._only_cached = getattr(os, "RWF_NOWAIT", 0) if hasattr(os, "preadv") else 0

    def read(self, start: int, out: np.ndarray) -> None:
        """Fill `out`, uint8 (n,), with the bytes from `start` on. Raises EOFError where they are not there."""
        at, rest = start, out.data
        while rest:
            n = self._from_cache(at, rest) or self._from_disk(at, rest)
            at, rest = at + n, rest[n:]
        if self._asked is not None:
            self._ask(start, at)

    def _from_cache(self, at: int, out: memoryview) -> int:
        """How many bytes the system has at hand, which are read; 0 also where it cannot tell."""
        if not self._only_cached:
            return 0
        try:
            return os.preadv(self._file.fileno(), [out], at, self._only_cached)
        except BlockingIOError:
            return 0
        except OSError:  # a file system that cannot tell
            self._only_cached = 0
            return 0

    def _from_disk(self, at: int, out: memoryview) -> int:
        self._ask(at, at + len(out))
        self._file.seek(at)
        n = self._file.readinto(out)
        if not n:
            raise EOFError("the file has become shorter while it was read")
        return n

    def _ask(self, start: int, end: int) -> None:
        """Most likely the bytes behind are next: let the disk begin. To ask for what is in the cache takes its time."""
        asked = self._asked if self._asked is not None and start <= self._asked <= end + _AHEAD else start
        if hasattr(os, "posix_fadvise") and asked < end + _AHEAD // 2:
            os.posix_fadvise(self._file.fileno(), asked, end + _AHEAD - asked, os.POSIX_FADV_WILLNEED)
            self._asked = end + _AHEAD

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Unpacked:
    """The bytes of a compressed member of an archive, unpacked from its start as far as they are asked for."""

    def __init__(self, path: str, member: str) -> None:
        self._path, self._member = path, member
        self._archive: zipfile.ZipFile | None = None
        self._file: IO[bytes] | None = None
        self._at = 0  # how far it is unpacked
        self._kept = b""  # the bytes in front of that

    def read(self, start: int, out: np.ndarray) -> None:
        """Fill `out`, uint8 (n,), with the bytes from `start` on; those far behind the last ones are unpacked anew."""
        if self._archive is None or start < self._at - len(self._kept):
            self._begin()
        done = 0
        if start < self._at:
            known = self._kept[len(self._kept) - (self._at - start) :][: len(out)]
            done = len(known)
            out[:done] = np.frombuffer(known, np.uint8)
        while self._at < start:
            self._next(start - self._at)
        while done < len(out):
            piece = self._next(len(out) - done)
            out[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)

    def _begin(self) -> None:
        self.close()
        self._archive = zipfile.ZipFile(self._path)
        self._file = self._archive.open(self._member)
        self._at, self._kept = 0, b""

    def _next(self, most: int) -> bytes:
        assert self._file is not None
        piece = self._file.read(min(most, _CHUNK))
        if not piece:
            raise EOFError("it is cut short")
        self._at += len(piece)
        self._kept = (self._kept + piece[-_KEPT:])[-_KEPT:]
        return piece

    def close(self) -> None:
        """Close the file."""
        for opened in (self._file, self._archive):
            if opened is not None:
                opened.close()


def open_npy(path: str) -> StoredArray:
    """The array of a `.npy` file. Raises DataError when it is no such file or is cut short."""
    try:
        with open(path, "rb") as file:
            return _describe(file, path, "array", os.fstat(file.fileno()).st_size, 0, None)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


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
    except DataError:
        raise
    except (OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a usable .npz archive: {error}") from error
    return arrays


def _describe(file: IO[bytes], path: str, name: str, size: int, begin: int | None, member: str | None) -> StoredArray:
    """Read an array's header. `begin` is where its bytes start in the file, or None when they are compressed."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (OSError, zlib.error, zipfile.BadZipFile):
        raise
    except Exception as error:  # a header is Python's syntax: what is wrong with it may be told by its parser
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


def float_dtype(dtype: np.dtype) -> np.dtype:
    """What numbers of this dtype are read as: native float32 for float16 and float32, else native float64."""
    small = dtype.kind == "f" and dtype.itemsize <= 4
    return np.dtype(np.float32 if small else np.float64)


def as_float(array: np.ndarray) -> np.ndarray:
    """The same numbers in their `float_dtype`."""
    return array.astype(float_dtype(array.dtype), copy=False)
