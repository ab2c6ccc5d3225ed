"""Which columns of a table are text, judged once for all ranks before anything is read."""

from __future__ import annotations

import csv
import io
import os
import re

from .errors import DataError
from .ranks import OneRank, Ranks
from .source import Source, agree_sources

# Text files: lines at the top of the first file that are looked at.
SAMPLE_BYTES = 1 << 20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|true|false|nan", re.IGNORECASE)
# What the parser takes for a missing number, spelt so.
_MISSING = frozenset({"", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "N/A", "NA", "NULL", "n/a", "null"})


def find_text_columns(
    path: str | os.PathLike[str], ranks: Ranks | None = None, format: str | None = None, scatter: bool = False
) -> tuple[str, ...]:
    """The names of the columns that hold text; collective. Empty for formats without named columns.

    Parquet says it in its schema; of CSV and TSV the first SAMPLE_BYTES of the first file are judged, where a column
    is text when any of its cells is neither a number nor empty. `scatter`: only rank 0 sees the files. Raises DataError
    as `open`.
    """
    ranks = OneRank() if ranks is None else ranks
    source = None if scatter else agree_sources(path, ranks, format)[0]
    found: tuple[str, ...] = ()
    with ranks.together():
        if ranks.rank == 0:
            found = _of_one(source or agree_sources(path, OneRank(), format)[0])
    return tuple(ranks.share(found)[0])


def _of_one(source: Source) -> tuple[str, ...]:
    if source.format == "parquet":
        return _of_parquet(source)
    return _of_text(source) if source.format in ("csv", "tsv") else ()


def _of_parquet(source: Source) -> tuple[str, ...]:
    import pyarrow.types as types

    from .parquet import open_parquet

    return tuple(
        field.name
        for field in open_parquet(source).schema_arrow
        if types.is_string(field.type) or types.is_large_string(field.type) or types.is_dictionary(field.type)
    )


def _of_text(source: Source) -> tuple[str, ...]:
    from .delimited import DELIMITERS, read_header

    header = read_header(source)
    with source.open() as file:
        file.seek(header.begin)
        head = file.read(SAMPLE_BYTES)
    lines = head.decode("utf-8", "replace")
    if len(head) == SAMPLE_BYTES:
        lines = lines[: lines.rfind("\n") + 1]
    found: set[str] = set()
    try:
        for row in csv.reader(io.StringIO(lines), delimiter=DELIMITERS[source.format]):
            cells = zip(header.names, row, strict=False)
            found.update(name for name, cell in cells if not _is_number(cell))
    except csv.Error as error:
        raise DataError(f"{source.path}: cannot be split into cells: {error}") from None
    return tuple(name for name in header.names if name in found)


def _is_number(cell: str) -> bool:
    return cell in _MISSING or _NUMBER.fullmatch(cell.strip()) is not None
