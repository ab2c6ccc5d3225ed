"""Read ahead: one thread fetches the next item while the caller works on this one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

AHEAD = 1  # items that wait; with the one in work and the one being fetched, AHEAD + 2 are alive


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yield `items` in order, fetched by a thread; what fetching raises is raised at its place.

    The thread waits while AHEAD items are ready, never spins, and ends when the caller stops early.
    """
    # Both queues are C code that waits without a lock of Python's: blocks change hands thousands of times a second.
    ready: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    wanted: SimpleQueue[None] = SimpleQueue()
    stopped = threading.Event()

    def fetch() -> None:
        error: BaseException = StopIteration()
        try:
            while True:
                wanted.get()
                if stopped.is_set():
                    return
                ready.put((next(items), None))
        except BaseException as caught:
            error = caught
        ready.put((None, error))

    thread = threading.Thread(target=fetch, name="dpmpi-prefetch", daemon=True)
    thread.start()
    try:
        for _ in range(AHEAD + 1):
            wanted.put(None)
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            wanted.put(None)
            yield item  # type: ignore[misc]
            del item
    finally:
        stopped.set()
        wanted.put(None)
        if threading.current_thread() is not thread:  # which may collect the garbage that this generator has become
            thread.join()
