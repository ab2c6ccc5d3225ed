"""Run every check: lint, types, the tests on one process, and those marked mpi on several ranks.

python tests/run_all.py [--ranks 1 2 3 4] [--only-mpi]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import launcher

ROOT = Path(__file__).parent.parent
RANK_NAMES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")


def main() -> int:
    """Run the checks in turn; stop at the first that fails and return its status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 3, 4], help="numbers of ranks to run under MPI")
    parser.add_argument("--only-mpi", action="store_true", help="only the tests marked mpi, only under MPI")
    options = parser.parse_args()
    steps = [
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "."],
        [sys.executable, "-m", "mypy", "dpmpi"],
        [sys.executable, "-m", "pytest", "-q"],
    ]
    if options.only_mpi:
        steps = []
    steps += [launcher.command(n, __file__, "--as-rank") for n in options.ranks]
    for step in steps:
        print("+", " ".join(step), flush=True)
        status = subprocess.run(step, cwd=ROOT, env=launcher.environment()).returncode
        if status:
            print(f"failed with status {status}: {' '.join(step)}", file=sys.stderr)
            return status
    return 0


def as_rank() -> int:
    """Run the tests marked mpi as one rank; only rank 0 is heard, unless another one fails."""
    rank = next((int(os.environ[name]) for name in RANK_NAMES if name in os.environ), 0)
    arguments = [sys.executable, "-m", "pytest", "-q", "--with-mpi", "-m", "mpi", "-p", "no:cacheprovider"]
    if rank == 0:
        os.execv(sys.executable, arguments)
    # A file, not a pipe to this process: MPI must live in the process that the launcher started.
    log = ROOT / "build" / f"rank-{rank}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.execv(sys.executable, arguments)


if __name__ == "__main__":
    sys.exit(as_rank() if sys.argv[1:] == ["--as-rank"] else main())
