"""What the columns of a table hold, judged once for all ranks before anything is read."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from .dates import is_date
from .errors import DataError
from .ranks import OneRank, Ranks
from .source import Source, agree_sources

# Text files: lines at the top of the first file that are looked at.
SAMPLE_BYTES = 1 << 20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|true|false|nan", re.IGNORECASE)
# What the parser takes for a missing number, spelt so.
_MISSING = frozenset({"", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "N/A", "NA", "NULL", "n/a", "null"})


class Kinds(NamedTuple):
    """columns : the names of all that can be read, None for formats without named columns.  text : those of text.

    unreadable : why each of the others cannot be read.
    """

    columns: tuple[str, ...] | None
    text: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = MappingProxyType({})


def find_kinds(
    path: str | os.PathLike[str],
    ranks: Ranks | None = None,
    format: str | None = None,
    scatter: bool = False,
    dates: Sequence[str] = (),
) -> Kinds:
    """What the columns hold; collective.

    Parquet says it in its schema; of CSV and TSV the first SAMPLE_BYTES of the first file are judged, where a column
    is text when any of its cells is neither a number nor empty. `dates` are the columns to be read as dates, which are
    no text. `scatter`: only rank 0 sees the files. Raises DataError as `open`.
    """
    ranks = OneRank() if ranks is None else ranks
    source = None if scatter else agree_sources(path, ranks, format)[0]
    found: tuple[Any, ...] | None = None
    with ranks.together():
        if ranks.rank == 0:
            kinds = _of_one(source or agree_sources(path, OneRank(), format)[0], dates)
            found = kinds.columns, kinds.text, dict(kinds.unreadable)
    told = ranks.share(found)[0]
    assert told is not None  # rank 0 came here only with it
    return Kinds(*told)


def _of_one(source: Source, dates: Sequence[str]) -> Kinds:
    if source.format == "parquet":
        return _of_parquet(source, dates)
    return _of_text(source, dates) if source.format in ("csv", "tsv") else Kinds(None)


def _of_parquet(source: Source, dates: Sequence[str]) -> Kinds:
    import pyarrow.types as types

    from .parquet import is_number, open_parquet

    columns, text, unreadable = [], [], {}
    for field in open_parquet(source).schema_arrow:
        kind = field.type
        is_text = str(kind) in ("string", "large_string", "string_view") or types.is_dictionary(kind)
        if is_text or is_number(kind) or field.name in dates:
            columns.append(field.name)
            text += [field.name] * (is_text and field.name not in dates)
        else:
            unreadable[field.name] = f"{kind}{'; name it in dates' if is_date(kind) else ''}"
    return Kinds(tuple(columns), tuple(text), unreadable)


def _of_text(source: Source, dates: Sequence[str]) -> Kinds:
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
    return Kinds(header.names, tuple(name for name in header.names if name in found and name not in dates))


def _is_number(cell: str) -> bool:
    return cell in _MISSING or _NUMBER.fullmatch(cell.strip()) is not None
