"""Entry point: parse the command line, run the command on every rank, turn the user's mistakes into one message."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from .. import __version__
from ..engine import Engine
from . import describe, fit, groupby, info, predict, tune
from .output import kept_going

USER_ERROR = 2

DESCRIPTION = "Data parallelism on MPI clusters: fit and apply models, summarise tables, rows shared out over ranks."
EPILOG = """Run it on one process as it is, on several with the launcher of your MPI:
  mpiexec -n 4 dpmpi fit train.csv --target y --model logistic --output model.npz
Exit status: 0 when done, 2 for a mistake in the arguments or the data, anything else for a failure."""


class _Refused(Exception):
    """The arguments are wrong; `usage` shows what is right."""

    def __init__(self, usage: str, message: str) -> None:
        super().__init__(message)
        self.usage = usage


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, and prints on rank 0 only: every rank parses the same arguments."""

    prints = True

    def error(self, message: str) -> NoReturn:
        raise _Refused(self.format_usage(), message)

    def _print_message(self, message: str, file: Any = None) -> None:
        if self.prints:
            super()._print_message(message, file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the dpmpi command with `arguments` (default: the process's own) and return its exit status."""
    with Engine() as engine:
        try:
            with kept_going() as printed:
                run = _parse(engine, arguments)
                if run is not None:
                    run()
        except _Refused as refused:
            _exit(engine, f"{refused.usage}dpmpi: error: {refused}")
        except ValueError as error:  # the user's mistakes; every rank raises together
            _exit(engine, f"dpmpi: error: {error}")
        # What nobody wants to read is no failure: the reader had enough.
        if printed.error is not None and not isinstance(printed.error, BrokenPipeError):
            _exit(engine, f"dpmpi: error: standard output cannot be written: {printed.error.strerror}")
        return 0


def _parse(engine: Engine, arguments: Sequence[str] | None) -> Callable[[], None] | None:
    """What the arguments ask for; None where it is done."""
    _Parser.prints = engine.rank == 0
    parser = _Parser(
        prog="dpmpi", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"dpmpi {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for command in (fit, predict, describe, groupby, info, tune):
        command.add_parser(commands).set_defaults(run=command.run)
    try:
        options = parser.parse_args(arguments)
    except SystemExit:  # --help and --version, which are printed by now
        return None
    return partial(options.run, engine, options)


def _exit(engine: Engine, message: str) -> NoReturn:
    if engine.rank == 0:
        print(message, file=sys.stderr, flush=True)
    # Leaving the engine's block, the ranks wait for one another: a launcher may end the job when the first is gone.
    raise SystemExit(USER_ERROR)
