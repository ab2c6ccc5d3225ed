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
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|true|false|nan|na|n/a|null|", re.IGNORECASE)


def find_text_columns(
    path: str | os.PathLike[str], ranks: Ranks | None = None, format: str | None = None
) -> tuple[str, ...]:
    """The names of the columns that hold text; collective. Empty for formats without named columns.

    Parquet says it in its schema; of CSV and TSV the first SAMPLE_BYTES of the first file are judged, where a column
    is text when any of its cells is neither a number nor empty. Raises DataError as `open`.
    """
    ranks = OneRank() if ranks is None else ranks
    source = agree_sources(path, ranks, format)[0]
    found: tuple[str, ...] = ()
    with ranks.together():
        if ranks.rank == 0 and source.format == "parquet":
            found = _of_parquet(source)
        elif ranks.rank == 0 and source.format in ("csv", "tsv"):
            found = _of_text(source)
    return tuple(ranks.share(found)[0])


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
            found.update(name for name, cell in cells if not _NUMBER.fullmatch(cell.strip()))
    except csv.Error as error:
        raise DataError(f"{source.path}: cannot be split into cells: {error}") from None
    return tuple(name for name in header.names if name in found)
