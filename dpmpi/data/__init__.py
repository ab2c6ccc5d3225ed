"""Readers: files' rows to their ranks, as a run of blocks or as plain arrays.

Knows no MPI: what ranks agree on goes through `Ranks`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .columns import Picked
from .dataset import Dataset
from .errors import BadRow, DataError
from .ranks import OneRank, Ranks
from .table import Block, Frame, Table
from .write import atomic_write, atomic_writes, check_writable

if TYPE_CHECKING:
    from .kinds import find_kinds
    from .memory import parse_size
    from .opening import open, read
    from .source import FORMATS, expand

__all__ = [
    "FORMATS",
    "BadRow",
    "Block",
    "DataError",
    "Dataset",
    "Frame",
    "OneRank",
    "Picked",
    "Ranks",
    "Table",
    "atomic_write",
    "atomic_writes",
    "check_writable",
    "expand",
    "find_kinds",
    "open",
    "parse_size",
    "read",
]

# Imported when first used, so that `import dpmpi` stays cheap: every engine knows a Dataset, few open one.
_MODULES = {
    "FORMATS": "source",
    "expand": "source",
    "find_kinds": "kinds",
    "open": "opening",
    "parse_size": "memory",
    "read": "opening",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
