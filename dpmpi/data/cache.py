"""A binary copy of text files, written once by all ranks together and used as long as the text stays what it was.

    DIR/<name>-<hash of path and options>/part-<rank>-<number>.npz    some MiB of rows each, in the order of the rows
                                          manifest.json               of which text it is, with the rows of each file;
                                                                      checksums of the parts

It is written under a temporary name and renamed when it is whole. Any number of ranks can read it. Of jobs that make
the same copy at once the first to finish puts it in place, and all use that one. What a killed job left under such a
name is removed a day later, when the next copy is made.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .arrays import ArrayReader
from .columns import Wanted
from .dataset import Dataset
from .errors import DataError, Fault, raise_fault
from .ranks import Ranks
from .source import TEXT_FORMATS, agree_files, agree_sources, expand
from .table import Block, join

VERSION = 2
PART_BYTES = 32 << 20
STALE_SECONDS = 24 * 3600  # no writer is so long without adding a part
_MANIFEST = "manifest.json"
_STEP = 1 << 20


def open_cached(
    path: str,
    ranks: Ranks,
    wanted: Wanted,
    format: str | None,
    limit: int,
    cache: str,
    open_text: Callable[[], Dataset],
) -> Dataset:
    """The data set of the binary copy in the folder `cache`, made by `open_text` first where there is none; collective.

    Raises DataError, the same on every rank: as `open_text`; when `cache` cannot be written or the disk is full, and
    then nothing is left behind; when the ranks do not see the same folder; for columns of text.
    """
    if wanted.text:
        raise DataError(f"{path}: a cache holds numbers only; leave cache out, or convert the file to Parquet")
    import hashlib

    identity = _identify(path, ranks)
    options = json.dumps([os.path.abspath(path), format, *wanted], default=list)
    label = re.sub(r"[^-.\w]+", "_", Path(path).name)
    name = f"{label}-{hashlib.sha256(options.encode()).hexdigest()[:16]}"
    folder = os.path.join(cache, name)
    place = _place(folder)
    manifest = _find(folder, identity, ranks)
    if manifest is None:
        text = open_text()
        text.find_width()
        if text.format not in TEXT_FORMATS:
            return text
        _build(text, cache, folder, place, identity, ranks)
        manifest = _find(folder, identity, ranks)
        if manifest is None:
            raise DataError(f"{folder}: the cache is not what was written; use a folder that every rank sees")
    sources = agree_sources(os.path.join(glob.escape(folder), "part-*.npz"), ranks, "npz")
    with ranks.together():
        weight = "sample_weight" if wanted.weight is not None else None
        reader = ArrayReader(sources, Wanted(weight=weight, missing=wanted.missing))
    dataset = _Copy(path, sources, reader, ranks, limit)
    dataset.text = list(zip(expand(path), manifest["rows"], strict=True))
    dataset.columns, dataset.picked = None if manifest["columns"] is None else tuple(manifest["columns"]), None
    dataset.target = manifest["target"]
    return dataset


class _Copy(Dataset):
    """Rows of a copy; a bad one is named by its place in the text. `text`: the files it was made of, and their rows."""

    text: list[tuple[str, int]]

    def _raise(self, file: int, fault: Fault) -> NoReturn:
        row = sum(self._reader.extents[:file]) + fault.row
        ends = list(accumulate(n_rows for _, n_rows in self.text))
        number = bisect_right(ends, row)
        path, n_rows = self.text[number]
        raise_fault(path, fault._replace(row=row - (ends[number] - n_rows)), is_text=False)


def _identify(path: str, ranks: Ranks) -> list[Any]:
    """Names, sizes, times and checksums (of both ends) of the files, as rank 0 sees them; collective."""
    files = [(os.path.abspath(file), look.size, look.checksum) for file, look in agree_files(path, ranks)]
    found = None
    with ranks.together():
        if ranks.rank == 0:
            found = [[*file, os.stat(file[0]).st_mtime_ns] for file in files]
    return list(ranks.share(found)[0])


def _find(folder: str, identity: list[Any], ranks: Ranks) -> dict[str, Any] | None:
    """The manifest of a copy that is whole and of this text, else None; every rank checks its share of the parts."""
    manifest = None
    if ranks.rank == 0:
        with suppress(OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
            found = json.loads(Path(folder, _MANIFEST).read_text())
            body = json.dumps(found["copy"])
            if found["checksum"] == zlib.crc32(body.encode()) and found["copy"]["version"] == VERSION:
                manifest = found["copy"] if found["copy"]["identity"] == identity else None
    manifest = ranks.share(manifest)[0]
    if manifest is None:
        return None
    mine = manifest["parts"][ranks.rank :: ranks.size]
    whole = all(_checksum(os.path.join(folder, part)) == checksum for part, checksum in mine)
    return manifest if all(ranks.share(whole)) else None


def _checksum(path: str) -> int | None:
    """CRC-32 of a file, None where it cannot be read."""
    checksum = 0
    try:
        with open(path, "rb") as file:
            while piece := file.read(_STEP):
                checksum = zlib.crc32(piece, checksum)
    except OSError:
        return None
    return checksum


def _place(folder: str) -> tuple[int, int] | None:
    """What stands under this name: another value when it was replaced, None for nothing."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _build(
    text: Dataset, cache: str, folder: str, place: tuple[int, int] | None, identity: list[Any], ranks: Ranks
) -> None:
    """Write the copy; collective. Nothing of it is left where a rank fails. `place`: what it replaces, on rank 0."""
    import secrets  # slow to import

    temporary = ranks.share(os.path.join(cache, f".dpmpi-{secrets.token_hex(8)}.tmp"))[0]
    try:
        with ranks.together():
            if ranks.rank == 0:
                try:
                    os.makedirs(temporary)
                except OSError as error:
                    raise _cannot_write(cache, error) from error
                _remove_stale(cache, temporary)
        with ranks.together():
            parts = _write_parts(text, temporary, ranks.rank)
        manifest = {
            "version": VERSION,
            "identity": identity,
            "columns": text.columns,
            "target": text.target,
            "rows": text.rows_of_files(),
            "parts": [part for parts in ranks.share(parts) for part in parts],
        }
        with ranks.together():
            if ranks.rank == 0:
                checksum = zlib.crc32(json.dumps(manifest).encode())
                _finish(temporary, folder, place, json.dumps({"checksum": checksum, "copy": manifest}))
    finally:
        if ranks.rank == 0:
            shutil.rmtree(temporary, ignore_errors=True)


def _remove_stale(cache: str, temporary: str) -> None:
    """Remove what killed jobs left in `cache`; `temporary`, just made, tells the time there."""
    now = os.stat(temporary).st_ctime
    for path in glob.glob(os.path.join(glob.escape(cache), ".dpmpi-*.tmp*")):
        with suppress(OSError):  # another job may do the same
            if path != temporary and now - os.stat(path).st_ctime > STALE_SECONDS:
                shutil.rmtree(path)


def _write_parts(text: Dataset, temporary: str, rank: int) -> list[tuple[str, int | None]]:
    """Write this rank's rows; names and checksums of the parts."""
    parts = []
    for number, block in enumerate(_gather(text)):
        name = f"part-{rank:06d}-{number:06d}.npz"
        try:
            with open(os.path.join(temporary, name), "xb") as file:
                np.savez(file, **_arrays(block))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _cannot_write(os.path.dirname(temporary), error) from error
        parts.append((name, _checksum(os.path.join(temporary, name))))
    return parts


def _gather(text: Dataset) -> Iterator[Block]:
    """This rank's rows in blocks of about PART_BYTES."""
    blocks: list[Block] = []
    size = 0
    for block in text.blocks():
        blocks.append(block)
        size += sum(part.nbytes for part in _arrays(block).values())
        if size >= PART_BYTES:
            yield join(iter(blocks), text.empty(), sum(block.X.shape[0] for block in blocks))
            blocks, size = [], 0
    if blocks:
        yield join(iter(blocks), text.empty(), sum(block.X.shape[0] for block in blocks))


def _arrays(block: Block) -> dict[str, Any]:
    """The arrays of a part, by the names under which ArrayReader looks for them."""
    X: Any = block.X
    if hasattr(X, "indptr"):
        arrays = {"data": X.data, "indices": X.indices, "indptr": X.indptr}
        arrays |= {"shape": np.array(X.shape), "format": np.array(b"csr")}
    else:
        arrays = {"X": X}
    return arrays | {
        name: part for name, part in zip(("y", "sample_weight"), block[1:], strict=True) if part is not None
    }


def _finish(temporary: str, folder: str, place: tuple[int, int] | None, manifest: str) -> None:
    """Put the whole copy in its place, which an old one may hold; or leave it, where another job was faster."""
    try:
        with open(os.path.join(temporary, _MANIFEST), "x") as file:
            file.write(manifest)
            file.flush()
            os.fsync(file.fileno())
        if _place(folder) != place:
            return
        old = temporary + ".old"
        if place is not None:
            os.rename(folder, old)
        try:
            os.rename(temporary, folder)
        except OSError:
            if _place(folder) is None:
                if place is not None:
                    os.rename(old, folder)
                raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _cannot_write(path: str, error: OSError) -> DataError:
    return DataError(f"{path}: the cache cannot be written: {(error.strerror or str(error)).lower()}")
