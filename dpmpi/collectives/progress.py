"""A thread that lets messages of started plans go on while the rank computes; only where it is asked for.

MPI libraries move most messages only while one of their functions is called. A rank that calls none between `start`
and `wait` so waits for them in the end. The thread calls for it, now and then, and sleeps in between.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol

from .mpi import MPI

INTERVAL_SECONDS = 100e-6  # between two looks: a network's latency, and little of a processor


class Pollable(Protocol):
    """A started plan."""

    def poll(self) -> bool:
        """Go on without waiting; return whether nothing is left to do."""


class Progress:
    """Polls what was started, in a thread of its own, until it is closed.

    Args:
        local: the ranks of this node. Where the process may run on more processors than the node has ranks, the thread
            is kept to one of those left over, away from the ranks' work.

    Raises RuntimeError when MPI was not started for calls from several threads.
    """

    def __init__(self, local: MPI.Intracomm) -> None:
        if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise RuntimeError(
                "a progress thread needs MPI_THREAD_MULTIPLE; set mpi4py.rc.thread_level = 'multiple' before MPI starts"
            )
        self._started: list[Pollable] = []
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._closed = False
        processors = sorted(os.sched_getaffinity(0))
        spare = processors[local.size :]
        self._processor = spare[local.rank % len(spare)] if spare else None
        self._thread = threading.Thread(target=self._run, name="dpmpi-progress", daemon=True)
        self._thread.start()

    def add(self, plan: Pollable) -> None:
        """Poll `plan` until its `poll` says that nothing is left to do."""
        with self._lock:
            self._started.append(plan)
        self._work.set()

    def close(self) -> None:
        """End the thread."""
        with self._lock:  # or the thread could clear the event behind it
            self._closed = True
            self._work.set()
        self._thread.join()

    def _run(self) -> None:
        if self._processor is not None:
            os.sched_setaffinity(threading.get_native_id(), {self._processor})
        pause = threading.Event()  # never set: waiting for it is a sleep
        while True:
            self._work.wait()
            if self._closed:
                return
            with self._lock:
                self._started = [plan for plan in self._started if not plan.poll()]
                if not self._started and not self._closed:
                    self._work.clear()
            pause.wait(INTERVAL_SECONDS)
