"""All-reduce of float32 sums: dpmpi's ring beside the MPI library's own call, both in one run.

    mpiexec -n 2 python benchmarks/allreduce.py

Each side is timed call by call, in turn, after a barrier; a call takes as long as its slowest rank. Columns: bytes of
a buffer; median microseconds of both sides; how many times the ring is as fast; bus bandwidth 2 (P-1)/P bytes/time in
GB/s; elements of the ring's result that differ from the exact sum.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

import dpmpi

WARM_UP = 3
ROTATED = 4  # buffers taken in turn, so that a call does not find its data in cache only because of the one before


def main() -> None:
    """Run the sweep and print a row a size on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--min-bytes", type=int, default=8)
    parser.add_argument("--max-bytes", type=int, default=64 << 20)
    parser.add_argument("--repeat", type=int, default=30, help="timed calls of each side and size (default 30)")
    parser.add_argument("--json", metavar="FILE", help="also write the rows here")
    options = parser.parse_args()
    rows = []
    with dpmpi.Communicator() as comm:
        library = comm.library()
        if comm.rank == 0:
            print(f"# {comm.size} ranks, {library['mpi_library']}, threads {library['mpi_threads']}, float32 sum")
            print(f"{'bytes':>12} {'native us':>12} {'ring us':>12} {'speed-up':>9} {'bus GB/s':>9} {'#wrong':>7}")
        n_bytes = options.min_bytes
        while n_bytes <= options.max_bytes:
            row = measure(comm, n_bytes, options.repeat)
            rows.append(row)
            if comm.rank == 0:
                print(
                    f"{row['bytes']:>12} {row['native_us']:>12.1f} {row['ring_us']:>12.1f} {row['speed_up']:>9.2f} "
                    f"{row['bus_gb_s']:>9.2f} {row['wrong']:>7}",
                    flush=True,
                )
            n_bytes *= 2
        if comm.rank == 0 and options.json:
            with open(options.json, "w") as file:
                json.dump({"ranks": comm.size, **library, "rows": rows}, file, indent=2)


def measure(comm: dpmpi.Communicator, n_bytes: int, repeat: int) -> dict[str, float]:
    """Time both sides at one size; the times are medians over calls of the slowest rank's."""
    n = n_bytes // 4
    data = np.random.default_rng(comm.rank).integers(0, 100, n).astype(np.float32)
    buffers = [np.empty_like(data) for _ in range(ROTATED)]
    sides: dict[str, Callable[[np.ndarray], object]] = {
        "native": lambda buffer: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, buffer),
        "ring": comm.allreduce,
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for call in range(WARM_UP + repeat):
        for side, run in sides.items():
            buffer = buffers[call % ROTATED]
            buffer[:] = data
            comm.barrier()
            start = time.perf_counter()
            run(buffer)
            if call >= WARM_UP:
                seconds[side].append(time.perf_counter() - start)
    slowest = {side: float(np.median(comm.allreduce(np.array(times), "max"))) for side, times in seconds.items()}
    exact = MPI.COMM_WORLD.allreduce(data.astype(np.float64))
    return {
        "bytes": n_bytes,
        "native_us": 1e6 * slowest["native"],
        "ring_us": 1e6 * slowest["ring"],
        "speed_up": slowest["native"] / slowest["ring"],
        "bus_gb_s": 2 * (comm.size - 1) / comm.size * n_bytes / slowest["ring"] / 1e9,
        "wrong": int(np.count_nonzero(buffer != exact)),
    }


if __name__ == "__main__":
    main()
