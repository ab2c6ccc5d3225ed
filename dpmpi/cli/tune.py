"""``dpmpi tune``: measure the all-reduce algorithms here, once, for all later jobs of this kind."""

from __future__ import annotations

import argparse
from typing import Any

from ..engine import Engine

SHOWN_BYTES = (8, 4 << 10, 256 << 10, 4 << 20, 64 << 20)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "tune",
        help="measure the all-reduce algorithms and save the table",
        description="Measure every all-reduce algorithm that can run here, at sizes from 8 bytes to 64 MiB, and save "
        "the times for later jobs with the same MPI library, threading level and ranks per node. Without it, jobs "
        "measure a few sizes themselves, in some milliseconds, when they first need to choose.",
    )
    return parser


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 prints."""
    path = engine.comm.tune()
    texts = [engine.comm.explain(n_bytes) for n_bytes in SHOWN_BYTES]
    if engine.rank == 0:
        print("\n".join(texts))
        print(f"wrote {path}")
