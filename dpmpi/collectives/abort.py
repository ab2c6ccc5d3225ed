"""End the whole job when one rank fails.

An MPI job does not end because one of its ranks raised: the others wait in their next collective for ever. So an
exception that nothing catches prints its traceback and then aborts the job, whoever launched it and however. And a rank
that comes to the end of its program, by ``sys.exit`` or otherwise, tells the others so in their next call.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from types import TracebackType
from typing import TYPE_CHECKING

from .mpi import MPI, parallel

if TYPE_CHECKING:
    from .guard import Guard

# How long an error that every rank raises is left to the rank that reports it, before another ends the job.
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


def leave(guard: Guard, process: int) -> None:
    """At the end of the program: wait until every rank comes to it, with its communicator still open.

    A rank that ends is not to be waited for: in place of that the others raise MismatchError in their next call.
    `process` is the one whose end is meant; its children inherit this.
    """
    if os.getpid() != process or MPI.Is_finalized() or hasattr(sys, "ps1"):
        return
    while True:
        try:
            guard.agree("the end of the program, by sys.exit or with nothing more to do")
            return
        except Exception as error:
            if not hasattr(error, REPORTER):
                return  # there is no telling the others
