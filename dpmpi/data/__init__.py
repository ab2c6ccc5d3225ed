"""Readers: a file's rows to their ranks, as plain arrays. Knows no MPI: what ranks agree on goes through `Ranks`."""

from .errors import DataError
from .ranks import OneRank, Ranks
from .read import read
from .source import FORMATS
from .table import Table
from .write import atomic_write, check_writable

__all__ = ["FORMATS", "DataError", "OneRank", "Ranks", "Table", "atomic_write", "check_writable", "read"]
