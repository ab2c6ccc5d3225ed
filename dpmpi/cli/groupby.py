"""``dpmpi groupby``: aggregates of groups of rows."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

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
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([*([header] * (engine.rank == 0)), *(map(_full, r) for r in rows)])
    parts = engine.comm.gather_parts(np.frombuffer(table.getvalue().encode(), np.uint8))
    error = None
    if engine.rank == 0:
        try:
            _write(options.output, parts)
        except (OSError, ValueError) as caught:
            error = caught
    for _ in parts:  # on rank 0, what a failure left: the others are still sending
        pass
    with engine.comm.together("writing the groups"):
        if error is not None:
            raise error


def _write(output: str | None, parts: Iterable[np.ndarray]) -> None:
    """Write the ranks' lines one behind the other."""
    if output is None:
        for part in parts:
            sys.stdout.write(str(part.data, "utf-8"))
        return
    with data.atomic_write(output) as file:
        for part in parts:
            file.write(part.data)


def _full(value: str | int | float) -> str:
    """Every digit; nothing for no value."""
    if isinstance(value, float):
        return "" if value != value else repr(value)
    return str(value)
