"""``dpmpi groupby``: aggregates of groups of rows."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from typing import Any

from .. import data
from ..engine import Engine
from ..preprocess import AGGREGATES
from ..summaries import group_by
from .options import add_input_options, check_outputs, open_data


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "groupby",
        help="print aggregates of groups of rows",
        description="Write one row a group as CSV: the group's texts, its rows, and the aggregates asked for.",
    )
    add_input_options(parser)
    parser.add_argument("--by", metavar="A,B,...", required=True, help="columns whose texts make the groups")
    parser.add_argument(
        "--agg", metavar="COLUMN:HOW,...", nargs="+", required=True,
        help=f"for a column any of {', '.join(AGGREGATES)}, as in sales:sum,mean price:max",
    )  # fmt: skip
    parser.add_argument("--output", metavar="GROUPS.csv", help="write here (default: standard output)")
    return parser


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 writes."""
    check_outputs(engine, (options.output,), (options.data,))
    by = tuple(options.by.split(","))
    aggregates: dict[str, list[str]] = {}
    for wanted in options.agg:
        name, colon, hows = wanted.rpartition(":")
        if not colon:
            raise data.DataError(f"--agg takes COLUMN:HOW,... as in sales:sum,mean, not {wanted!r}")
        aggregates.setdefault(name, []).extend(hows.split(","))
    dataset = open_data(engine, options, columns=list(aggregates), text=by, missing=True)
    header, rows = group_by(engine, dataset, by, aggregates)
    with engine.comm.together("writing the groups"):
        if engine.rank == 0:
            table = io.StringIO()
            csv.writer(table, lineterminator="\n").writerows([header, *(map(_full, row) for row in rows)])
            if options.output:
                with data.atomic_write(options.output) as file:
                    file.write(table.getvalue().encode())
            else:
                sys.stdout.write(table.getvalue())


def _full(value: str | int | float) -> str:
    """Every digit; nothing for no value."""
    if isinstance(value, float):
        return "" if value != value else repr(value)
    return str(value)
