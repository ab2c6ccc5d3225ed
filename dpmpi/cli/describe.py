"""``dpmpi describe``: what the columns of a table hold."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from .. import data
from ..engine import Engine
from ..summaries import describe
from .options import add_input_options, open_data, split_names

NUMBERS = ("count", "missing", "mean", "std", "min", "25%", "50%", "75%", "max")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "describe",
        help="print what the columns of a table hold",
        description="Print for each column of numbers the count, missing cells, mean, standard deviation, least, "
        "quartiles and greatest, and for each column of text its most frequent texts; one pass, in bounded memory. "
        "Columns of Parquet that hold neither are named.",
    )
    add_input_options(parser)
    parser.add_argument(
        "--text",
        metavar="A,B,...",
        help="more columns to take as text, beside those that look so",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 prints."""
    dates = split_names(options.dates)
    kinds = data.find_kinds(options.data, engine.comm, options.format, options.scatter, dates)
    text = list(dict.fromkeys((*kinds.text, *split_names(options.text))))
    columns = None if kinds.columns is None else [name for name in kinds.columns if name not in text or name in dates]
    if not (columns or text or kinds.columns is None):
        raise data.DataError(f"{options.data}: no column can be read: {_listed(kinds.unreadable)}")
    told = describe(engine, open_data(engine, options, columns=columns, text=text, missing=True))
    told |= {name: {"left out": reason} for name, reason in kinds.unreadable.items() if name not in told}
    if engine.rank > 0:
        return
    if options.json:
        print(json.dumps(told, indent=2))
        return
    width = max(len(name) for name in told)
    numbers = {name: facts for name, facts in told.items() if "mean" in facts}
    if numbers:
        print(" " * width + "".join(f"{label:>13}" for label in NUMBERS))
        for name, facts in numbers.items():
            print(name.ljust(width) + "".join(f"{_cell(facts[label]):>13}" for label in NUMBERS))
    for name, facts in told.items():
        if "top" in facts:
            unique = "many" if facts["unique"] is None else facts["unique"]
            top = ", ".join(f"{value!r} {count}" for value, count in facts["top"].items())
            print(f"{name.ljust(width)}  count {facts['count']}, missing {facts['missing']}, unique {unique}: {top}")
        if "left out" in facts:
            print(f"{name.ljust(width)}  left out: {facts['left out']}")


def _listed(unreadable: Mapping[str, str]) -> str:
    return ", ".join(f"{name!r} holds {reason}" for name, reason in unreadable.items())


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"
