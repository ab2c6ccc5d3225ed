"""Several ranks in one process: threads that meet at a barrier."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest


class Meeting:
    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size, timeout=50)  # a busy machine may stop for long
        self.values: list[Any] = [None] * size


class ThreadRanks:
    def __init__(self, meeting: Meeting, rank: int) -> None:
        self.meeting, self.rank, self.size = meeting, rank, meeting.size

    def share(self, value: Any, /) -> list[Any]:
        self.meeting.values[self.rank] = value
        self.meeting.barrier.wait()
        values = list(self.meeting.values)
        self.meeting.barrier.wait()
        return values

    def alltoall(self, parts: Any, /) -> list[Any]:
        return [sent[self.rank] for sent in self.share(parts)]

    @contextmanager
    def together(self) -> Iterator[None]:
        own = None
        try:
            yield
        except Exception as error:
            own = error
        failed = [(rank, error) for rank, error in enumerate(self.share(own)) if error is not None]
        if own is not None:
            raise own
        if failed:
            raise type(failed[0][1])(f"rank {failed[0][0]}: {failed[0][1]}")


@pytest.fixture(scope="session")
def on_ranks() -> Callable[[int, Callable[[Any], Any]], list[Any]]:
    """``on_ranks(size, call)``: what ``call(ranks)`` returns, or the exception it raises, on every rank."""

    def run(size: int, call: Callable[[Any], Any]) -> list[Any]:
        meeting = Meeting(size)

        def one(rank: int) -> Any:
            try:
                return call(ThreadRanks(meeting, rank))
            except threading.BrokenBarrierError:
                raise
            except Exception as error:
                return error

        with ThreadPoolExecutor(size) as pool:
            return list(pool.map(one, range(size)))

    return run
