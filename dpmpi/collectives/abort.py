"""End the whole job when one rank fails.

An MPI job does not end because one of its ranks raised: the others wait in their next collective for ever. So an
exception that nothing catches prints its traceback and then aborts the job, whoever launched it and however.
"""

from __future__ import annotations

import sys
import time
import traceback
from types import TracebackType

from .mpi import MPI, parallel

# How long the other ranks have to come to the same exit before the job is aborted.
GRACE_SECONDS = 2.0
FORWARD_SECONDS = 0.2  # launchers drop what they have not forwarded when the job is ended
# An error raised on every rank carries, under this name, the number of the rank that reports it.
REPORTER = "dpmpi_reporter"


def install() -> None:
    """Chain the aborting hook to `sys.excepthook`, once a process; an interactive session keeps its own."""
    previous = sys.excepthook
    if hasattr(sys, "ps1") or getattr(previous, "aborts_mpi", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not parallel():
            previous(kind, error, trace)
            return
        world = MPI.COMM_WORLD
        if getattr(error, REPORTER, world.rank) != world.rank:
            time.sleep(GRACE_SECONDS)  # every rank raises this error: leave it to one of them to tell
        headline = f"dpmpi: rank {world.rank} of {world.size} failed; the job ends\n"
        if previous is sys.__excepthook__:  # one write, so that the tracebacks of several ranks do not mix
            sys.stderr.write(headline + "".join(traceback.format_exception(kind, error, trace)))
        else:
            sys.stderr.write(headline)
            previous(kind, error, trace)
        abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    hook.aborts_mpi = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def abort(status: int) -> None:
    """End every rank of the job with `status`, after what was printed has left this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(FORWARD_SECONDS)
    MPI.COMM_WORLD.Abort(status)


def leave_or_abort(comm: MPI.Intracomm, code: object) -> None:
    """Let `sys.exit(code)` pass when every rank of `comm` exits too; abort the job when one of them does not come."""
    request = comm.Ibarrier()
    deadline = time.monotonic() + GRACE_SECONDS
    while not request.Test():
        if time.monotonic() > deadline:
            if not isinstance(code, int):  # sys.exit("message") prints it and means 1
                print(code, file=sys.stderr)
                code = 1
            print(f"dpmpi: rank {comm.rank} exits with {code} while others go on; the job ends", file=sys.stderr)
            abort(code)
        time.sleep(0.001)
