"""Dates and times as numbers: seconds since 1970-01-01 00:00 UTC; a time without a zone is taken as UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def is_date(kind: pa.DataType) -> bool:
    """Whether a column of this type holds dates, or dates with a time."""
    import pyarrow.types as types

    return bool(types.is_date(kind) or types.is_timestamp(kind))


def as_seconds(cells: pa.Array) -> pa.Array:
    """The dates as float64 seconds, exact to the microsecond; null where they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = cells.type.tz if pa.types.is_timestamp(cells.type) else None
    microseconds = cells.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
    return pc.divide(microseconds.cast(pa.float64(), safe=False), 1e6)
