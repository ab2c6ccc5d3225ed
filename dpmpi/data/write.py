"""Write files so that a reader finds the old one or the new one, never half of one."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from .errors import DataError


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise DataError unless `atomic_write` could create `path` now: ask before the long work, not after it."""
    _Temporary(path).remove()


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file open for writing bytes that becomes `path` when the block ends well; see `atomic_writes`."""
    with atomic_writes(path) as (file,):
        yield file


@contextmanager
def atomic_writes(*paths: str | os.PathLike[str]) -> Iterator[list[IO[bytes]]]:
    """Give files open for writing bytes that become `paths` when the block ends well: all of them, or none.

    Each is written under a temporary name in its own folder. When all are on the disk they are renamed, in the order
    given, what matters most last. When anything fails before that they are removed and `paths` stay as they were.
    Raises DataError when a folder is missing or not writable or the disk is full.
    """
    temporaries: list[_Temporary] = []
    try:
        for path in paths:
            temporaries.append(_Temporary(path))
        files = [io.BufferedWriter(temporary) for temporary in temporaries]
        yield files  # type: ignore[misc]
        for file, temporary in zip(files, temporaries, strict=True):
            file.flush()
            temporary.to_disk()
        for temporary in temporaries:
            temporary.rename()
    except BaseException:
        for temporary in temporaries:
            temporary.remove()
        raise


class _Temporary(io.FileIO):
    """A new file in the folder of `path`, behind links, that may take its name; what fails is a DataError of `path`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import secrets  # slow to import

        self._path = path
        self._target = os.path.realpath(path)
        if os.path.exists(self._target) and not os.path.isfile(self._target):
            raise DataError(f"{os.fspath(path)}: cannot be written: it is a folder or a device; name a file")
        self._temporary = os.path.join(os.path.dirname(self._target), f".dpmpi-{secrets.token_hex(8)}.tmp")
        # Not tempfile: its files are private to the user, and a result should have the permissions of any new file.
        with self._named():
            super().__init__(self._temporary, "x")

    def write(self, data: Any) -> int:
        with self._named():
            return super().write(data)

    def to_disk(self) -> None:
        with self._named():
            os.fsync(self.fileno())

    def rename(self) -> None:
        with self._named():
            os.replace(self._temporary, self._target)
        self.close()

    def remove(self) -> None:
        self.close()
        with suppress(OSError):
            os.unlink(self._temporary)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            if isinstance(error, FileNotFoundError):
                reason = f"there is no folder {os.path.dirname(self._target)}; create it first"
            raise DataError(f"{os.fspath(self._path)}: cannot be written: {reason}") from error
