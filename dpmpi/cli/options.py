"""Options and checks that several commands share."""

from __future__ import annotations

import argparse

from .. import data
from ..engine import Engine


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to read."""
    parser.add_argument("data", metavar="DATA", help=f"file with the rows ({', '.join(data.FORMATS)})")
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help="the column to predict: a name (CSV), a number (-1 is the last), or the name of an array (.npz, default "
        "y); libsvm files carry it as their label",
    )
    parser.add_argument("--format", choices=data.FORMATS, help="format of DATA (default: by name and first line)")


def check_outputs(engine: Engine, *paths: str | None) -> None:
    """Raise DataError on every rank when rank 0 could not write one of `paths`, before the long work starts."""
    with engine.comm.together("checking the output files"):
        if engine.rank == 0:
            for path in filter(None, paths):
                data.check_writable(path)
