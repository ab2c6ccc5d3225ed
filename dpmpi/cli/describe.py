"""``dpmpi describe``: what the columns of a table hold."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .. import data
from ..engine import Engine
from ..summaries import describe
from .options import add_input_options, open_data

NUMBERS = ("count", "missing", "mean", "std", "min", "25%", "50%", "75%", "max")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "describe",
        help="print what the columns of a table hold",
        description="Print for each column of numbers the count, missing cells, mean, standard deviation, least, "
        "quartiles and greatest, and for each column of text its most frequent texts; one pass, in bounded memory.",
    )
    add_input_options(parser)
    parser.add_argument("--text", metavar="A,B,...", help="columns to take as text (default: by the first rows)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 prints."""
    text = _text(engine, options)
    told = describe(engine, open_data(engine, options, text=text, missing=True))
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


def _text(engine: Engine, options: argparse.Namespace) -> tuple[str, ...]:
    if options.text:
        return tuple(options.text.split(","))
    return data.find_text_columns(options.data, engine.comm, options.format, options.scatter)


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"
