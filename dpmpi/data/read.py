"""Read a file on all ranks together, each rank its own rows."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .columns import Column, Wanted
from .delimited import read_delimited
from .errors import DataError
from .libsvm import LABEL, read_libsvm
from .npy import read_npy, read_npz
from .ranks import OneRank, Ranks
from .source import agree_source
from .table import Table


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
    """Read this rank's rows of a CSV, TSV, `.npy`, `.npz` or libsvm file; collective over `ranks`.

    Every rank reads its own rows or bytes only. Arrays are divided evenly by rows, text by bytes, so that ranks may
    hold different numbers of rows, and none. Rows keep the file's order across ranks.

    Parameters
    ----------
    ranks : who reads together (a Communicator); None reads everything in this process.
    target, weight : the column that becomes y, sample_weight: a name, or a number from 0 where -1 is the last. In a
        `.npz` they may name another array. libsvm has its label as target and no weights.
    target_required : False to take the target where it is there, and to leave y None where it is not.
    columns : the columns of X, None for all that are neither target nor weight.
    n_columns : how many columns X must have, for data that goes to a fitted model. Needed for libsvm, where columns
        that are zero everywhere in a file cannot be seen.
    format : "csv", "tsv", "npy", "npz" or "libsvm"; None tells it from the suffix, then from the content.

    Returns a Table. Numbers become float64; float32 arrays stay float32.

    Raises DataError, the same on every rank, naming file, row and column: the file is missing, unreadable, empty or
    not the same on every rank; an unknown column; ragged rows; text, an empty cell, NaN or infinity where a number is
    needed; a negative weight; no rows.
    """
    ranks = OneRank() if ranks is None else ranks
    wanted = Wanted(target, columns, weight, target_required, n_columns)
    source = agree_source(path, ranks, format)
    if source.format == "libsvm":
        if weight is not None or columns is not None or (target_required and target not in (None, LABEL)):
            raise DataError(
                f"{source.path}: in libsvm text the label is the target; leave target, columns and weight out"
            )
        table = read_libsvm(source, ranks, n_columns)
    elif source.format == "npy":
        table = read_npy(source, ranks, wanted)
    elif source.format == "npz":
        table = read_npz(source, ranks, wanted)
    else:
        table = read_delimited(source, ranks, wanted)
    if n_columns is not None and table.X.shape[1] != n_columns:
        raise DataError(f"{source.path}: {table.X.shape[1]} columns for X, but {n_columns} are needed")
    return table
