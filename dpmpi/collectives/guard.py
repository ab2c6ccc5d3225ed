"""What every rank must agree on before data moves.

Each call is described by a short text. The ranks compare digests of their texts with one tiny all-reduce; only when
they differ are the texts themselves gathered, so that the error can say who called what. A rank that cannot take
part (a bad argument, a kernel that raised) tells it in the same exchange, and every rank raises.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from .abort import REPORTER
from .mpi import MPI

FAILED = 0  # the digest of a rank that has an error to report
_ALL_ONES = (1 << 64) - 1


class MismatchError(RuntimeError):
    """The ranks made different calls, or calls whose operator, dtype or size differ. Raised on every rank."""


class Guard:
    """Compares the calls of all ranks of `comm`; see `agree`."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self.comm = comm
        self._pair = np.empty(2, np.uint64)

    def agree(self, call: str, error: Exception | None = None) -> None:
        """Return when every rank made the same `call` and none passes an `error`; otherwise raise on every rank.

        A rank's own `error` is raised there as it is; the other ranks raise an error of the same type whose message
        names that rank. Calls that differ raise MismatchError, which names the ranks and their calls.
        """
        if error is None:
            digest = _digest(call)
            if self.comm.size == 1:
                return
            # min(d) == max(d) exactly when all are equal, and max(d) is ~min(~d): one all-reduce tells both.
            self._pair[0] = digest
            self._pair[1] = _ALL_ONES - digest
            self.comm.Allreduce(MPI.IN_PLACE, self._pair, MPI.MIN)
            if int(self._pair[0]) == _ALL_ONES - int(self._pair[1]):
                return
        elif self.comm.size > 1:
            self._pair[0] = FAILED
            self._pair[1] = _ALL_ONES - FAILED
            self.comm.Allreduce(MPI.IN_PLACE, self._pair, MPI.MIN)
        self._raise(call, error)

    @contextmanager
    def together(self, task: str) -> Iterator[None]:
        """Run the body on every rank; an exception on any of them is raised on all. No communication inside."""
        error = None
        try:
            yield
        except Exception as caught:
            error = caught
        self.agree(task, error)

    def _raise(self, call: str, error: Exception | None) -> None:
        calls = self.comm.allgather((call, None if error is None else _portable(error)))
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
def _digest(call: str) -> int:
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
