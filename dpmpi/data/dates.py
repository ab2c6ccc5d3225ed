"""Dates and times as numbers: seconds since 1970-01-01 00:00 UTC; a time without a zone is taken as UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_ZONE = r"[T ]\d[\d:.]*(Z|[+-]\d\d(:?\d\d)?)$"  # behind a time: a date has signs of its own


def is_date(kind: pa.DataType) -> bool:
    """Whether a column of this type holds dates, or dates with a time."""
    import pyarrow.types as types

    return bool(types.is_date(kind) or types.is_timestamp(kind))


def parse_dates(cells: pa.Array) -> pa.Array:
    """Texts in ISO 8601 as times in UTC, in microseconds; null where they are. Raises ValueError for other texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return cells.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:  # pyarrow takes texts with a zone, or without one, but not both at once
        zoned = pc.match_substring_regex(cells, _ZONE)
        with_zone = pc.if_else(zoned, cells, None).cast(pa.timestamp("us", "UTC"))
        without = pc.if_else(zoned, None, cells).cast(pa.timestamp("us")).cast(with_zone.type)
        return pc.coalesce(with_zone, without)


def as_seconds(cells: pa.Array) -> pa.Array:
    """The dates as float64 seconds, exact to the microsecond; null where they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = cells.type.tz if pa.types.is_timestamp(cells.type) else None
    microseconds = cells.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
    return pc.divide(microseconds.cast(pa.float64(), safe=False), 1e6)
