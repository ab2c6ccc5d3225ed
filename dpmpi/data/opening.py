"""Open or read a data set: which files, which reader, how much memory."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .columns import Column, Picked, Wanted
from .dataset import Dataset
from .errors import DataError
from .memory import default_limit, parse_size
from .ranks import OneRank, Ranks
from .reader import Reader
from .source import NAMED_FORMATS, Source, agree_sources
from .table import Table


def open(
    path: str | os.PathLike[str],
    ranks: Ranks | None = None,
    *,
    target: Column | None = None,
    target_required: bool = True,
    columns: Sequence[Column] | None = None,
    weight: Column | None = None,
    n_columns: int | None = None,
    picked: Picked | None = None,
    format: str | None = None,
    max_memory: str | int | None = None,
    text: Sequence[str] = (),
    missing: bool = False,
    dates: Sequence[str] = (),
    cache: str | os.PathLike[str] | None = None,
    scatter: bool = False,
) -> Dataset:
    """Open files as one data set that the ranks share; collective over `ranks`. Nothing is kept in memory.

    Every rank reads its own rows or bytes only. Arrays and Parquet are divided evenly by rows, text by bytes, so that
    ranks may hold different numbers of rows, and none; rows keep the files' order across ranks. A gzip file can be
    unpacked from its start only: every rank unpacks it up to the end of its own part. Text is looked through once, to
    count rows, and parsed whenever blocks are asked for.

    Parameters
    ----------
    path : a file (CSV, TSV, libsvm, these also gzipped; `.npy`, `.npz`, Parquet, HDF5), a folder, or a pattern such as
        ``part-*.csv``: many files of one format with the same columns are one data set, in the order of their names.
    ranks : who reads together (a Communicator); None reads everything in this process.
    target, weight : the column that becomes y, sample_weight: a name, or a number from 0 where -1 is the last. In
        `.npz` and HDF5 they may name another array. libsvm has its label as target and no weights.
    target_required : False to take the target where it is there, and to leave y None where it is not.
    columns : the columns of X, None for all that are neither target nor weight.
    n_columns : how many columns X must have, for data that goes to a fitted model. Needed for libsvm, where columns
        that are zero everywhere in a file cannot be seen. Formats without names then take X's columns by position.
    picked : `Dataset.picked` of the rows that a model was fitted on, in place of `columns`: the same columns by their
        numbers where all columns are there, or as they come where there are only those.
    format : one of FORMATS; None tells it from the suffix, then from the content.
    text : named columns that are read as text, whatever is in them. Blocks are then Frames, for a preprocessing
        pipeline to turn into numbers.
    dates : named columns of dates (2024-05-01, 2024-05-01 12:30:00), which become seconds since 1970-01-01 00:00 UTC.
    missing : True to take an empty cell or NaN in X as a missing value (NaN); infinity stays an error.
    cache : a folder that every rank sees, for a binary copy of text files: written when the text is opened first, and
        again when it has changed (size, time or checksum), read instead of the text from then on. Numbers only.
    scatter : True where only rank 0 sees the files: it reads them block by block and sends the rows to their owners,
        which hold them in memory.
    max_memory : bytes of data that a rank may hold, as a number or as ``"256MiB"``; None for half of what the rank may
        use, limits of containers and batch jobs (cgroups) respected; the least of all ranks' counts.

    Raises DataError, the same on every rank, naming the file, and row and column where there are: a file is missing,
    unreadable, empty, damaged or not the same on every rank; an unknown column; no rows. Errors inside rows are raised
    when the blocks are read. ValueError for a `max_memory` that is none.
    """
    wanted = Wanted(target, columns, weight, target_required, n_columns, tuple(text), missing, tuple(dates), picked)
    ranks = OneRank() if ranks is None else ranks
    limit = _agree_limit(ranks, max_memory)
    if scatter:
        from .scattered import open_scattered

        with ranks.together():
            if cache is not None:
                raise ValueError("a cache has to be seen by every rank; leave cache out with scatter")
        name = os.fspath(path)
        return open_scattered(name, ranks, limit, lambda: _open(name, OneRank(), wanted, format, limit))
    if cache is not None:
        from .cache import open_cached

        name = os.fspath(path)
        return open_cached(
            name, ranks, wanted, format, limit, os.fspath(cache), lambda: _open(name, ranks, wanted, format, limit)
        )
    dataset = _open(path, ranks, wanted, format, limit)
    dataset.find_width()
    return dataset


def read(
    path: str | os.PathLike[str],
    ranks: Ranks | None = None,
    *,
    target: Column | None = None,
    target_required: bool = True,
    columns: Sequence[Column] | None = None,
    weight: Column | None = None,
    n_columns: int | None = None,
    format: str | None = None,
) -> Table:
    """Open files and load this rank's rows into memory: as ``open(...).load()``; collective. See `open`.

    CSV and TSV in which nothing is wrong are gone through once, where `open` has to count their rows first.
    """
    ranks = OneRank() if ranks is None else ranks
    wanted = Wanted(target, columns, weight, target_required, n_columns)
    sources, reader = _find_reader(path, ranks, wanted, format)
    from .at_once import read_at_once
    from .delimited import DelimitedReader

    if isinstance(reader, DelimitedReader):
        table = read_at_once(os.fspath(path), reader, ranks)
        if table is not None:
            return table
    return Dataset(os.fspath(path), sources, reader, ranks, _agree_limit(ranks, None)).load()


def _agree_limit(ranks: Ranks, max_memory: str | int | None) -> int:
    """The least of what the ranks may use: they must all decide alike whether rows fit. Collective."""
    with ranks.together():
        given = None if max_memory is None else parse_size(max_memory)
    return int(min(ranks.share(default_limit(ranks) if given is None else given)))


def _open(
    path: str | os.PathLike[str],
    ranks: Ranks,
    wanted: Wanted,
    format: str | None,
    limit: int,
) -> Dataset:
    sources, reader = _find_reader(path, ranks, wanted, format)
    return Dataset(os.fspath(path), sources, reader, ranks, limit)


def _find_reader(
    path: str | os.PathLike[str], ranks: Ranks, wanted: Wanted, format: str | None
) -> tuple[tuple[Source, ...], Reader]:
    sources = agree_sources(path, ranks, format)
    if sources[0].format not in NAMED_FORMATS:
        for kind, names in (("text", wanted.text), ("dates", wanted.dates)):
            if names:
                raise DataError(f"{sources[0].path}: a {sources[0].format} file has no {kind} such as {names[0]!r}")
        if wanted.n_columns is not None:
            wanted = wanted._replace(columns=None)
    reader = _open_reader(sources, ranks, wanted)
    if wanted.n_columns is not None and reader.n_columns != wanted.n_columns:
        raise DataError(f"{sources[0].path}: {reader.n_columns} columns for X, but {wanted.n_columns} are needed")
    return sources, reader


def _open_reader(sources: Sequence[Source], ranks: Ranks, wanted: Wanted) -> Reader:
    # Each reader is imported when it is needed: `import dpmpi` stays cheap.
    format = sources[0].format
    if format in ("csv", "tsv"):
        from .delimited import DelimitedReader

        return DelimitedReader(sources, ranks, wanted)
    with ranks.together():
        if format == "libsvm":
            from .libsvm import LibsvmReader

            return LibsvmReader(sources, wanted)
        if format == "parquet":
            from .parquet import ParquetReader

            return ParquetReader(sources, wanted)
        from .arrays import ArrayReader

        return ArrayReader(sources, wanted)
