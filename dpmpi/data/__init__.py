"""Readers: files' rows to their ranks, as a run of blocks or as plain arrays.

Knows no MPI: what ranks agree on goes through `Ranks`.
"""

from .dataset import Dataset, open, read
from .errors import BadRow, DataError
from .memory import parse_size
from .ranks import OneRank, Ranks
from .source import FORMATS
from .table import Block, Frame, Table
from .write import atomic_write, check_writable

__all__ = [
    "FORMATS",
    "BadRow",
    "Block",
    "DataError",
    "Dataset",
    "Frame",
    "OneRank",
    "Ranks",
    "Table",
    "atomic_write",
    "check_writable",
    "open",
    "parse_size",
    "read",
]
