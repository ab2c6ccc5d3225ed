"""What every rank must agree on before data moves.

Each call is described by a short text. The ranks compare digests of their texts in one tiny exchange; only when
they differ are the texts themselves gathered, so that the error can say who called what. A rank that cannot take
part (a bad argument, a kernel that raised) tells it in the same exchange, and every rank raises.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from .abort import REPORTER
from .mpi import MPI

FAILED = 0  # the digest of a rank that has an error to report


class MismatchError(RuntimeError):
    """The ranks made different calls, or calls whose operator, dtype or size differ. Raised on every rank."""


class Guard:
    """Compares the calls of all ranks of `comm`; see `agree` and `fail`.

    `announce(digest)` is how: it returns, on every rank alike, whether all ranks announced the same.
    """

    def __init__(self, comm: MPI.Intracomm, announce: Callable[[int], bool]) -> None:
        self._comm, self._announce = comm, announce

    def agree(self, call: str) -> None:
        """Return when every rank makes the same `call`; otherwise raise on every rank.

        Calls that differ raise MismatchError, which names the ranks and their calls; where a rank called `fail`, its
        error is raised.
        """
        if self._comm.size > 1 and not self._announce(digest(call)):
            self.tell(call)

    def fail(self, error: Exception) -> NoReturn:
        """Take part in the others' `agree` by raising `error` on every rank.

        Here it is raised as it is; the other ranks raise an error of the same type whose message names this rank.
        """
        if self._comm.size > 1:
            self._announce(FAILED)
        self.tell("", error)

    @contextmanager
    def together(self, task: str) -> Iterator[None]:
        """Run the body on every rank; an exception on any of them is raised on all. No communication inside."""
        try:
            yield
        except Exception as error:
            self.fail(error)
        self.agree(task)

    def tell(self, call: str, error: Exception | None = None) -> NoReturn:
        """Raise on every rank, when all know that their calls differ or that one failed."""
        calls = self._comm.allgather((call, None if error is None else _portable(error)))
        failures = {rank: failure for rank, (_, failure) in enumerate(calls) if failure is not None}
        reporter = min(failures, default=0)
        if error is None:
            error = _rebuilt(reporter, *failures[reporter]) if failures else _mismatch([text for text, _ in calls])
        setattr(error, REPORTER, reporter)
        raise error


def _mismatch(calls: list[str]) -> MismatchError:
    by_call: dict[str, list[int]] = {}
    for rank, call in enumerate(calls):
        by_call.setdefault(call, []).append(rank)
    told = "; ".join(f"{ranges(ranks)}: {call}" for call, ranks in by_call.items())
    return MismatchError(f"the ranks do not make the same call. {told}. Nothing was sent")


def ranges(ranks: Iterable[int]) -> str:
    """Name ranks in words: ``rank 2``, ``ranks 0-2, 5``."""
    ranks = sorted(ranks)
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1][1:] = [rank]
        else:
            runs.append([rank])
    return ("ranks " if len(ranks) > 1 else "rank ") + ", ".join("-".join(map(str, run)) for run in runs)


@functools.lru_cache(maxsize=1024)
def digest(call: str) -> int:
    """Return 64 bits that differ for different calls."""
    import hashlib  # with its library, a cost that importing dpmpi should not have

    return int.from_bytes(hashlib.blake2b(call.encode(), digest_size=8).digest(), "little") | 1  # never FAILED


def _portable(error: Exception) -> tuple[bytes, str]:
    try:
        kind = pickle.dumps(type(error))
    except (pickle.PicklingError, AttributeError):
        kind = pickle.dumps(RuntimeError)
    return kind, str(error) or type(error).__name__


def _rebuilt(rank: int, kind: bytes, message: str) -> Exception:
    text = f"rank {rank}: {message}"
    try:
        error = pickle.loads(kind)(text)
    except Exception:  # its class is not importable here, or wants other arguments
        return RuntimeError(text)
    return error if isinstance(error, Exception) else RuntimeError(text)
