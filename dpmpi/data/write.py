"""Write files so that a reader finds the old one or the new one, never half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from .errors import DataError


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise DataError unless `atomic_write` could create `path` now: ask before the long work, not after it."""
    target = _resolve(path)
    temporary = _temporary(target)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.unlink(temporary)
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file open for writing bytes that becomes `path` when the block ends well.

    It is written under a temporary name in the same folder, flushed to the disk and renamed; when anything fails it is
    removed and `path` stays as it was. Raises DataError when the folder is missing or not writable or the disk is full.
    """
    target = _resolve(path)
    temporary = _temporary(target)
    try:
        # Not tempfile: its files are private to the user, and a result should have the permissions of any new file.
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        # Only writing to the open file gives an OSError without a name; another file's error is the caller's own.
        if isinstance(error, OSError) and error.filename in (None, temporary):
            raise _cannot_write(path, error) from error
        raise


def _resolve(path: str | os.PathLike[str]) -> str:
    """The file behind links. Raises DataError where something other than a file is in the way."""
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise DataError(f"{os.fspath(path)}: cannot be written: it is a folder or a device; name a file")
    return target


def _temporary(target: str) -> str:
    import secrets  # slow to import

    return os.path.join(os.path.dirname(target), f".dpmpi-{secrets.token_hex(8)}.tmp")


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> DataError:
    folder = os.path.dirname(os.path.realpath(path))
    if isinstance(error, FileNotFoundError):
        return DataError(f"{os.fspath(path)}: cannot be written: there is no folder {folder}; create it first")
    return DataError(f"{os.fspath(path)}: cannot be written: {(error.strerror or str(error)).lower()}")
