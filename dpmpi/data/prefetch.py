"""Read ahead: one thread fetches the next item while the caller works on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

AHEAD = 1  # items that wait; with the one in work and the one being fetched, AHEAD + 2 are alive


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yield `items` in order, fetched by a thread; what fetching raises is raised at its place.

    The thread waits while AHEAD items are ready, never spins, and ends when the caller stops early.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def fetch() -> None:
        error: BaseException | None = StopIteration()
        try:
            for item in items:
                ready.put((item, None))
                del item
                if stopped.is_set():
                    return
        except BaseException as caught:
            error = caught
        ready.put((None, error))

    thread = threading.Thread(target=fetch, name="dpmpi-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
            del item
    finally:
        stopped.set()
        while thread.is_alive():  # it may be waiting for room
            with suppress(queue.Empty):
                ready.get(timeout=0.01)
        thread.join()
