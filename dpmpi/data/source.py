"""The file that all ranks read: seen by every rank, the same on every rank, of a known format."""

from __future__ import annotations

import os
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

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
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
_NUMBER = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LIBSVM_LINE = re.compile(rb"[ \t]*" + _NUMBER + rb"(?:[ \t]+(?:qid|\d+):\S+)+[ \t\r]*(?:#.*)?")
_HEAD = 1 << 16


@dataclass(frozen=True)
class Source:
    """A file that every rank can read and sees alike. `size` in bytes, `format` one of FORMATS."""

    path: str
    size: int
    format: str


def agree_source(path: str | os.PathLike[str], ranks: Ranks, format: str | None = None) -> Source:
    """Look at the file on every rank; collective.

    Raises DataError, the same on every rank, when it is missing, unreadable or empty somewhere, when the ranks see
    different files, or when the format is neither given nor to be told from suffix or content.
    """
    path = os.fspath(path)
    if format is not None and format not in FORMATS:
        raise DataError(f"unknown format {format!r}; accepted: {', '.join(FORMATS)}")
    looks = ranks.share(_look(path))
    failed = {rank: look for rank, look in enumerate(looks) if isinstance(look, str)}
    if len(failed) == ranks.size:
        raise DataError(f"{path}: {looks[0]}")
    if failed:
        reason = next(iter(failed.values()))
        raise DataError(
            f"{path}: {reason} on {name_ranks(failed)}, though the other ranks can read it; "
            "put it on a file system that every rank sees"
        )
    if len(set(looks)) > 1:
        other = [rank for rank, look in enumerate(looks) if look != looks[0]]
        what = "other content" if looks[other[0]][0] == looks[0][0] else f"{looks[other[0]][0]} bytes"
        raise DataError(
            f"{path}: the ranks see different files: {looks[0][0]} bytes on rank 0, {what} on {name_ranks(other)}; "
            "give every rank the same file"
        )
    size = looks[0][0]
    if size == 0:
        raise DataError(f"{path}: the file is empty")
    # Content is judged once, on rank 0: all ranks see the same file.
    format = (
        format or SUFFIXES.get(Path(path).suffix.lower()) or ranks.share(_sniff(path) if ranks.rank == 0 else None)[0]
    )
    if format is None:
        raise DataError(
            f"{path}: cannot tell the format from its name or its first line; name it: {', '.join(FORMATS)}"
        )
    return Source(path, size, format)


def _look(path: str) -> tuple[int, int] | str:
    """Size and a checksum of both ends, or why the file cannot be read."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return "not a regular file"
            checksum = zlib.crc32(file.read(_HEAD))
            file.seek(max(0, status.st_size - _HEAD))
            return status.st_size, zlib.crc32(file.read(_HEAD), checksum)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError as error:  # a NUL in the path
        return str(error)


def _sniff(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK\x03\x04"):
        return "npz"
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
