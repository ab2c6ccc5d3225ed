"""The files that all ranks read as one: seen by every rank, the same on every rank, of one known format."""

from __future__ import annotations

import glob
import gzip
import os
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .errors import DataError, name_ranks
from .ranks import Ranks

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".npy": "npy",
    ".npz": "npz",
    ".svm": "libsvm",
    ".libsvm": "libsvm",
    ".svmlight": "libsvm",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
NAMED_FORMATS = ("csv", "tsv", "parquet")  # their columns have names
TEXT_FORMATS = ("csv", "tsv", "libsvm")
_MAGIC = {b"\x93NUMPY": "npy", b"PK\x03\x04": "npz", b"PAR1": "parquet", b"\x89HDF\r\n\x1a\n": "hdf5"}
_GZIP = b"\x1f\x8b"
_NUMBER = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LIBSVM_LINE = re.compile(rb"[ \t]*" + _NUMBER + rb"(?:[ \t]+(?:qid|\d+):\S+)+[ \t\r]*(?:#.*)?")
_HEAD = 1 << 16
_UNPACK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file that every rank can read and sees alike.

    `size` in bytes, unpacked where `gzipped`; `format` one of FORMATS; `modified` is when it was last written, in the
    eyes of this rank, so that a later change is noticed.
    """

    path: str
    size: int
    format: str
    gzipped: bool = False
    modified: int | None = None

    def open(self) -> BinaryIO:
        """Open for reading bytes, unpacked. Raises DataError as `check`."""
        self.check()
        return gzip.open(self.path) if self.gzipped else open(self.path, "rb")  # type: ignore[return-value]

    def check(self) -> None:
        """Raise DataError when the file is no longer there, or has changed since this object was made."""
        try:
            modified = os.stat(self.path).st_mtime_ns
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}") from error
        if self.modified not in (None, modified):
            raise DataError(f"{self.path}: the file has changed since it was opened; run again when it is complete")


def agree_sources(path: str | os.PathLike[str], ranks: Ranks, format: str | None = None) -> tuple[Source, ...]:
    """Look at the files on every rank: one file, those in a folder, or those that a pattern names; collective.

    Files of a folder or pattern come in the order of their names; hidden ones are left out, and those that start with
    "_" unless the pattern does.

    Raises DataError, the same on every rank, when a file is missing, unreadable or empty somewhere, when the ranks see
    different files, when a gzip file is damaged, or when the format is neither given nor to be told from suffix or
    content, or is not the same for all files.
    """
    path = os.fspath(path)
    if format is not None and format not in FORMATS:
        raise DataError(f"unknown format {format!r}; accepted: {', '.join(FORMATS)}")
    seen = agree_files(path, ranks)
    files, sizes = [file for file, _ in seen], [look.size for _, look in seen]
    # Content is judged once, on rank 0: all ranks see the same files.
    told = ranks.share([_format_of(file, format) for file in files] if ranks.rank == 0 else None)[0]
    formats = {kind for kind, _ in told}
    for file, (kind, _) in zip(files, told, strict=True):
        if kind is None:
            raise DataError(
                f"{file}: cannot tell the format from its name or its first line; name it: {', '.join(FORMATS)}"
            )
    if len(formats) > 1:
        raise DataError(f"{path}: the files are of several formats ({', '.join(sorted(formats))}); give files of one")
    unpacked = _unpacked_sizes(files, [zipped for _, zipped in told], ranks)
    return tuple(
        Source(file, unpacked.get(number, size), kind, zipped, _modified(file))
        for number, (file, size, (kind, zipped)) in enumerate(zip(files, sizes, told, strict=True))
    )


def agree_files(path: str, ranks: Ranks) -> list[tuple[str, Look]]:
    """The files, and what every rank sees of them alike; collective. Raises DataError as `agree_sources`."""
    files = expand(path)
    looks = [_look(file) for file in files]
    _check_same(path, files, ranks.share([look if isinstance(look, str) else tuple(look) for look in looks]))
    seen = [(file, look) for file, look in zip(files, looks, strict=True) if isinstance(look, Look)]
    for file, look in seen:
        if look.size == 0:
            raise DataError(f"{file}: the file is empty")
    return seen


def expand(path: str) -> list[str]:
    """The files that a path, a folder or a pattern stands for on this rank; `path` itself where that is none."""
    try:
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if not name.startswith((".", "_")))
            return [file for file in (os.path.join(path, name) for name in names) if os.path.isfile(file)]
        if glob.has_magic(path) and not os.path.exists(path):
            named = os.path.basename(path).startswith("_")
            files = (file for file in glob.glob(path) if named or not os.path.basename(file).startswith("_"))
            return sorted(file for file in files if os.path.isfile(file))
    except (OSError, ValueError):  # an unreadable folder, a NUL in the path: `_look` says so
        pass
    return [path]


def _modified(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


class Look(NamedTuple):
    """What a rank sees of a file: its size, a checksum of both ends, and its name without the folder."""

    size: int
    checksum: int
    name: str


def _look(path: str) -> Look | str:
    """What the file is, or why it cannot be read."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return "not a regular file"
            checksum = zlib.crc32(file.read(_HEAD))
            file.seek(max(0, status.st_size - _HEAD))
            return Look(status.st_size, zlib.crc32(file.read(_HEAD), checksum), os.path.basename(path))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError as error:  # a NUL in the path
        return str(error)


def _check_same(path: str, files: list[str], seen: list[list[str | tuple[int, int, str]]]) -> None:
    """Raise DataError unless every rank can read the files and sees the same; `seen` has a list of looks a rank."""
    counts = [len(looks) for looks in seen]
    if len(set(counts)) > 1:
        other = [rank for rank, count in enumerate(counts) if count != counts[0]]
        raise DataError(
            f"{path}: the ranks see different files: {counts[0]} on rank 0, {counts[other[0]]} on {name_ranks(other)}; "
            "give every rank the same folder"
        )
    if not files:
        raise DataError(f"{path}: there is no file in it" if os.path.isdir(path) else f"{path}: no file matches")
    for number, file in enumerate(files):
        looks = [looks[number] for looks in seen]
        failed = {rank: look for rank, look in enumerate(looks) if isinstance(look, str)}
        if len(failed) == len(looks):
            raise DataError(f"{file}: {looks[0]}")
        if failed:
            reason = next(iter(failed.values()))
            raise DataError(
                f"{file}: {reason} on {name_ranks(failed)}, though the other ranks can read it; "
                "put it on a file system that every rank sees"
            )
        # A single file may have a name of its own on every rank; files in a folder are told apart by name.
        alike = [look[: 2 if len(files) == 1 else 3] for look in looks]
        if len(set(alike)) > 1:
            other = [rank for rank, look in enumerate(alike) if look != alike[0]]
            what = "other content" if alike[other[0]][0] == alike[0][0] else f"{alike[other[0]][0]} bytes"
            raise DataError(
                f"{file}: the ranks see different files: {alike[0][0]} bytes on rank 0, {what} on {name_ranks(other)}; "
                "give every rank the same file"
            )


def _unpacked_sizes(files: list[str], zipped: list[bool], ranks: Ranks) -> dict[int, int]:
    """The unpacked size of each gzip file by its number, every rank unpacking its part of the files; collective."""
    numbers = [number for number, is_zipped in enumerate(zipped) if is_zipped]
    sizes: dict[int, int] = {}
    if not numbers:
        return sizes
    with ranks.together():
        for number in numbers[ranks.rank :: ranks.size]:
            sizes[number] = _unpacked_size(files[number])
    for told in ranks.share(sizes):
        sizes.update(told)
    for number, size in sizes.items():
        if size == 0:
            raise DataError(f"{files[number]}: the file is empty")
    return sizes


def _unpacked_size(path: str) -> int:
    size = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read1(_UNPACK):
                size += len(piece)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged_gzip(path, size, error) from error
    return size


def damaged_gzip(path: str, position: int, error: Exception) -> DataError:
    """The error for gzip data that cannot be unpacked behind `position` bytes of text."""
    return DataError(f"{path}: the gzip data is damaged or cut short behind {position} bytes of text ({error})")


def _format_of(path: str, format: str | None) -> tuple[str | None, bool]:
    """The format, told from suffix or content unless given, and whether the file is gzipped text."""
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == _GZIP
            file.seek(0)
            name = Path(path).with_suffix("") if zipped and Path(path).suffix.lower() == ".gz" else Path(path)
            format = format or SUFFIXES.get(name.suffix.lower())
            if format is None:
                format = _sniff(gzip.GzipFile(fileobj=file).read(_HEAD) if zipped else file.read(_HEAD))
    except (OSError, EOFError, zlib.error):
        return format, False
    return format, zipped and format in TEXT_FORMATS


def _sniff(head: bytes) -> str | None:
    for magic, format in _MAGIC.items():
        if head.startswith(magic):
            return format
    if b"\0" in head:
        return None
    lines = (line for line in head.split(b"\n") if line.partition(b"#")[0].strip())
    line = next(lines, b"")
    # A long first line may be cut anywhere: its last token does not count.
    if _LIBSVM_LINE.fullmatch(line) or (len(line) == len(head) and _LIBSVM_LINE.match(line)):
        return "libsvm"
    if b"\t" in line:
        return "tsv"
    return "csv" if b"," in line else None
