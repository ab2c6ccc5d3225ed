"""What a rank of `benchmarks/data.py --only stream` does: fit a file, then time its passes; rank 0 prints JSON.

    mpiexec -n 2 python benchmarks/streamed.py FILE MAX_MEMORY ITERATIONS cold|cached|load

A pass is timed beside plain reading of the same rows in blocks of as many rows, by NumPy's or pyarrow's own functions
and into fresh memory as they do it, and beside the kernel alone on as many rows in memory. The three run in turn, on
all ranks at once. For "cold" the file is dropped from the system's cache before each reading; for "cached" it has been
read once, since pages that were written and never read are read at about half the speed. "load" only fits.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import dpmpi
from dpmpi import data
from dpmpi.kernels import logistic
from dpmpi.training.rows import find_rows

TURNS = 5
HELD = 64 << 20  # bytes of rows that the kernel alone is run on: more than a cache holds


def main() -> None:
    """Fit, and unless only that is asked for, time."""
    path, memory, iterations, state = sys.argv[1:]
    with dpmpi.Engine() as engine:
        told: dict[str, Any] = {}
        dataset = data.open(path, engine.comm, target=-1 if path.endswith("npy") else "y", max_memory=memory)
        result = dpmpi.fit(engine, "logistic", dataset, l2=1e-3, max_iter=int(iterations))
        told["loss"] = result.loss
        told["coef"] = [*result.coef.tolist(), float(result.intercept)]
        told["peak_mib"] = max(engine.comm.share(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
        if state != "load":
            told |= passes(engine, path, dataset, state == "cold")
    if engine.rank == 0:
        print(json.dumps(told))


def passes(engine: dpmpi.Engine, path: str, dataset: data.Dataset, cold: bool) -> dict[str, Any]:
    """The least seconds of several turns, and CPU seconds of all ranks together, of reading, a pass, and the kernel."""
    shards = find_rows(engine, dataset, None, None, True).shards
    coef, out = np.zeros(dataset.n_columns + 1), np.zeros(dataset.n_columns + 2)
    held: list[Any] = []
    for block in shards.blocks():
        held.append(tuple(None if part is None else part.copy() for part in block))
        if len(held) * held[0][0].nbytes > HELD:
            break
    rows = len(held[0][1])

    def plain() -> None:
        (read_npy if path.endswith("npy") else read_parquet)(path, dataset, engine, rows)

    def streamed() -> None:
        engine.reduce(logistic, shards, coef, out=out)

    def kernel() -> None:
        for number in range(max(1, dataset.n_local // rows)):
            logistic(*held[number % len(held)], coef, out)

    sides: dict[str, Callable[[], None]] = {"plain": plain, "pass": streamed, "kernel": kernel}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    evict(path, engine)
    plain()
    for _ in range(TURNS):
        for name, side in sides.items():
            if cold and name != "kernel":
                evict(path, engine)
            engine.comm.barrier()
            start, used = time.perf_counter(), cpu_seconds()
            side()
            used = cpu_seconds() - used
            engine.comm.barrier()
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(sum(engine.comm.share(used)))
    return {
        "seconds": {name: min(times) for name, times in seconds.items()},
        "cpu": {name: min(times) for name, times in cpu.items()},
    }


def read_npy(path: str, dataset: data.Dataset, engine: dpmpi.Engine, rows: int) -> None:
    """This rank's rows as NumPy reads them: nothing is checked, split or converted."""
    array = np.load(path, mmap_mode="r")
    stop, width = dataset.start + dataset.n_local, array.shape[1]
    for row in range(dataset.start, stop, rows):
        np.fromfile(path, array.dtype, min(rows, stop - row) * width, offset=array.offset + 8 * row * width)


def read_parquet(path: str, dataset: data.Dataset, engine: dpmpi.Engine, rows: int) -> None:
    """This rank's share of the row groups as pyarrow decodes them with one thread."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, pre_buffer=False)
    groups = np.array_split(range(file.num_row_groups), engine.size)[engine.rank]
    for _ in file.iter_batches(rows, groups.tolist(), use_threads=False):
        pass


def evict(path: str, engine: dpmpi.Engine) -> None:
    """Drop the file from the system's cache."""
    if engine.rank == 0:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    engine.comm.barrier()


def cpu_seconds() -> float:
    """Of all threads of this process, in its own code and in the system's."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
