"""A duplicate of the user's communicator: its life, and what its ranks tell one another."""

from __future__ import annotations

import atexit
import functools
import os
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from . import abort
from .group import Group
from .guard import Guard
from .mpi import MPI, check_launcher, library_name

AnyRanks = TypeVar("AnyRanks", bound="Ranks")


class Ranks:
    """The ranks of a communicator that belongs to dpmpi; `Communicator` is made of it."""

    def __init__(
        self, comm: MPI.Intracomm | None = None, *, ranks_per_node: int | None = None, progress_thread: bool = False
    ) -> None:
        if comm is None:
            check_launcher()
            comm = MPI.COMM_WORLD
        if not isinstance(comm, MPI.Intracomm):
            raise TypeError(f"comm must be an mpi4py intra-communicator or None, not {type(comm).__name__}")
        if ranks_per_node is not None and ranks_per_node < 1:
            raise ValueError(f"ranks_per_node must be at least 1, not {ranks_per_node}")
        self._open_group: Group | None = Group(comm.Dup(), ranks_per_node, progress_thread)
        self.rank: int = comm.rank
        self.size: int = comm.size
        self._leave = functools.partial(abort.leave, self._guard, os.getpid())
        if self.size > 1:
            atexit.register(self._leave)

    def __repr__(self) -> str:
        state = ", closed" if self._open_group is None else ""
        return f"{type(self).__name__}(rank={self.rank}, size={self.size}{state})"

    def __enter__(self: AnyRanks) -> AnyRanks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, SystemExit):
            return  # which the others are told at the end
        # Other ranks may not be leaving when an exception passes through here, so freeing could wait for ever.
        self._release(free=error is None)

    def close(self) -> None:
        """Free the communicator. Collective; closing twice is allowed."""
        self._release(free=True)

    @property
    def _group(self) -> Group:
        if self._open_group is None:
            raise RuntimeError("this Communicator is closed")
        return self._open_group

    @property
    def _guard(self) -> Guard:
        return self._group.guard

    @property
    def _comm(self) -> MPI.Intracomm:
        return self._group.comm

    def _release(self, free: bool) -> None:
        if self._open_group is not None and free and not MPI.Is_finalized():
            self._open_group.close()
        atexit.unregister(self._leave)
        self._open_group = None

    # What the ranks tell one another

    def share(self, value: Any) -> list[Any]:
        """Return every rank's `value` (a small Python object, pickled) in rank order. Collective."""
        self._guard.agree("share")
        return list(self._comm.allgather(value))

    def together(self, task: str = "local work") -> AbstractContextManager[None]:
        """Context manager: an exception raised in its body on any rank is raised on all ranks. Collective.

        The other ranks get an error of the same type that names the failing rank. The body must not communicate.
        """
        return self._guard.together(task)

    def agree(self, what: str) -> None:
        """Raise MismatchError on every rank unless all pass the same text. Collective."""
        self._guard.agree(what)

    def fail(self, error: Exception) -> NoReturn:
        """Take this rank's part in the others' next collective by raising `error` on every rank."""
        self._guard.fail(error)

    def barrier(self) -> None:
        """Wait until every rank has come here. Collective; MismatchError when another rank makes another call."""
        self._guard.agree("barrier")

    def node_names(self) -> list[str]:
        """Return the host name of every rank. Collective."""
        return self.share(MPI.Get_processor_name())

    @staticmethod
    def library() -> dict[str, str]:
        """Return the MPI library's version text, the MPI standard it follows and its threading level, as text."""
        levels = ("single", "funneled", "serialized", "multiple")
        threads = (MPI.THREAD_SINGLE, MPI.THREAD_FUNNELED, MPI.THREAD_SERIALIZED, MPI.THREAD_MULTIPLE)
        return {
            "mpi_library": library_name(),
            "mpi_standard": ".".join(map(str, MPI.Get_version())),
            "mpi_threads": levels[threads.index(MPI.Query_thread())],
        }
