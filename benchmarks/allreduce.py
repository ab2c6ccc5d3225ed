"""All-reduce of float32 sums: dpmpi beside the MPI library's own call, both in one run.

    mpiexec -n 2 python benchmarks/allreduce.py --threads serialized --json out.json
    mpiexec -n 2 python benchmarks/allreduce.py --threads multiple --json out.json

MPI libraries are faster at one threading level or another, so run it once at each with the same --json: rows are kept
for both, and the summary takes the native call at its better level. Sides, timed call by call in turn, each after a
barrier, on buffers refilled before the call and taken in rotation; a call takes as long as its slowest rank:

    native   MPI_Allreduce in place
    array    Communicator.allreduce on a user's array
    plan     a plan on a user's array
    buffer   a plan on its own buffer in node-shared memory
    ring     the ring by name, on a user's array

Columns: bytes; median microseconds of each side (in JSON also p50, p99); how many times `array` and `buffer` are as
fast as native; bus bandwidth 2 (P-1)/P bytes/time of `array` in GB/s; elements that differ from the exact sum, over all
sides; the algorithm that `array` chose.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpi4py
import numpy as np

WARM_UP = 3
ROTATED = 3
SIDES = ("native", "array", "plan", "buffer", "ring")


def main() -> None:
    """Run the sweep and print a row a size on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--min-bytes", type=int, default=8)
    parser.add_argument("--max-bytes", type=int, default=256 << 20)
    parser.add_argument("--repeat", type=int, default=100, help="timed calls of each side (large sizes: 20 or more)")
    parser.add_argument("--threads", choices=("serialized", "multiple"), default="multiple", help="MPI threading level")
    parser.add_argument("--user-op", action="store_true", help="time a user's operator against MPI.Op.Create instead")
    parser.add_argument("--json", metavar="FILE", type=Path, help="keep the rows here, and sum up both levels")
    options = parser.parse_args()
    mpi4py.rc.thread_level = options.threads
    import dpmpi

    with dpmpi.Communicator() as comm:
        library = comm.library()
        if comm.rank == 0:
            print(f"# {comm.size} ranks, {library['mpi_library']}, threads {library['mpi_threads']}, float32")
        if options.user_op:
            user_op(comm, options)
            return
        rows = sweep(comm, options)
        if comm.rank == 0 and options.json:
            keep(options.json, f"{library['mpi_library']} {library['mpi_threads']} {comm.size} ranks", rows)


def sweep(comm: Any, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every size; rank 0 prints."""
    rows = []
    if comm.rank == 0:
        print(
            f"{'bytes':>10}"
            + "".join(f"{side + ' us':>12}" for side in SIDES)
            + "  array/nat  buffer/nat    GB/s #wrong"
        )
    n_bytes = options.min_bytes
    while n_bytes <= options.max_bytes:
        row = measure(comm, n_bytes, options.repeat if n_bytes < 1 << 20 else max(20, options.repeat // 5))
        rows.append(row)
        if comm.rank == 0:
            times = "".join(f"{row[side]['p50']:>12.2f}" for side in SIDES)
            native = row["native"]["p50"]
            print(
                f"{n_bytes:>10}{times}{native / row['array']['p50']:>10.2f}x{native / row['buffer']['p50']:>10.2f}x"
                f"{row['bus_gb_s']:>9.2f}{row['wrong']:>6}  {row['algorithm']}",
                flush=True,
            )
        n_bytes *= 2
    return rows


def measure(comm: Any, n_bytes: int, repeat: int) -> dict[str, Any]:
    """Time all sides at one size, in microseconds; a call counts as the slowest rank's."""
    from mpi4py import MPI

    n = n_bytes // 4
    data = np.random.default_rng(comm.rank).integers(0, 100, n).astype(np.float32)
    exact = np.empty(n, np.float64)
    MPI.COMM_WORLD.Allreduce(data.astype(np.float64), exact)
    arrays = [np.empty_like(data) for _ in range(ROTATED)]
    plans = [comm.plan_allreduce(n, np.float32, buffer=array) for array in arrays]
    shared = [comm.plan_allreduce(n, np.float32) for _ in range(ROTATED)]
    rings = [comm.plan_allreduce(n, np.float32, algorithm="ring", buffer=array) for array in arrays]
    calls: dict[str, list[tuple[Callable[[], object], np.ndarray]]] = {
        "native": [(lambda a=a: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, a), a) for a in arrays],
        "array": [(lambda a=a: comm.allreduce(a), a) for a in arrays],
        "plan": [(plan.run, plan.buffer) for plan in plans],
        "buffer": [(plan.run, plan.buffer) for plan in shared],
        "ring": [(plan.run, plan.buffer) for plan in rings],
    }
    times, wrong = time_sides(comm, calls, data, exact, repeat)
    row: dict[str, Any] = {"bytes": n_bytes, "wrong": wrong, "algorithm": plans[0].algorithm}
    for side, seconds in times.items():
        p50, p99 = np.percentile(seconds, [50, 99]) * 1e6
        row[side] = {"p50": p50, "p99": p99, "calls": len(seconds)}
    row["bus_gb_s"] = 2 * (comm.size - 1) / comm.size * n_bytes / row["array"]["p50"] / 1e3
    for plan in plans + shared + rings:
        plan.close()
    return row


def time_sides(
    comm: Any,
    calls: dict[str, list[tuple[Callable[[], object], np.ndarray]]],
    data: np.ndarray,
    exact: np.ndarray,
    repeat: int,
) -> tuple[dict[str, np.ndarray], int]:
    """Run the sides in turn; return each call's seconds on its slowest rank, and how many elements were wrong."""
    times = {side: np.zeros(repeat) for side in calls}
    wrong = 0
    for call in range(-WARM_UP, repeat):
        for side, variants in calls.items():
            run, buffer = variants[call % len(variants)]
            buffer[:] = data
            comm.barrier()
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            if call >= 0:
                times[side][call] = seconds
            if call in (0, repeat - 1):
                wrong += int(np.count_nonzero(buffer != exact))
    return {side: comm.allreduce(seconds, "max") for side, seconds in times.items()}, wrong


def user_op(comm: Any, options: argparse.Namespace) -> None:
    """Time an operator of the user's own: Numba through dpmpi, Python through MPI.Op.Create."""
    from mpi4py import MPI

    def add(acc: np.ndarray, x: np.ndarray) -> None:
        for i in range(len(acc)):
            acc[i] = acc[i] + x[i]

    def add_bytes(source: Any, target: Any, _: Any) -> None:
        out = np.frombuffer(target, np.float32)
        np.add(out, np.frombuffer(source, np.float32), out=out)

    created = MPI.Op.Create(add_bytes, commute=True)
    if comm.rank == 0:
        sides = "".join(f"{side + ' us':>12}" for side in ("MPI.Op", "array", "plan", "buffer"))
        print(f"{'bytes':>10}{sides}  array/Op   plan/Op buffer/Op #wrong")
    n_bytes = max(4096, options.min_bytes)
    while n_bytes <= options.max_bytes:
        n = n_bytes // 4
        data = np.full(n, comm.rank + 1, np.float32)
        exact = np.full(n, comm.size * (comm.size + 1) / 2)
        array = np.empty_like(data)
        shared, own = comm.plan_allreduce(n, np.float32, add), comm.plan_allreduce(n, np.float32, add, buffer=array)
        calls: dict[str, list[tuple[Callable[[], object], np.ndarray]]] = {
            "MPI.Op": [(lambda a=array: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, a, created), array)],
            "array": [(lambda a=array: comm.allreduce(a, add), array)],
            "plan": [(own.run, array)],
            "buffer": [(shared.run, shared.buffer)],
        }
        times, wrong = time_sides(comm, calls, data, exact, 20 if n_bytes >= 1 << 20 else options.repeat)
        theirs, *ours = (float(np.median(seconds)) * 1e6 for seconds in times.values())
        if comm.rank == 0:
            row = "".join(f"{time:>12.1f}" for time in (theirs, *ours))
            print(
                f"{n_bytes:>10}{row}" + "".join(f"{theirs / time:>9.1f}x" for time in ours) + f"{wrong:>8}", flush=True
            )
        own.close()
        shared.close()
        n_bytes *= 4
    created.Free()


def keep(path: Path, run: str, rows: list[dict[str, Any]]) -> None:
    """Add this run's rows to the file; print the ratios against the better native call of the runs in it."""
    runs = json.loads(path.read_text()) if path.exists() else {}
    runs[run] = rows
    path.write_text(json.dumps(runs, indent=1))
    library = run.rsplit(" ", 3)
    alike = [
        rows
        for name, rows in runs.items()
        if (parts := name.rsplit(" ", 3))[0] == library[0] and parts[2:] == library[2:]
    ]
    best: dict[int, float] = {}
    for row in (row for rows in alike for row in rows):
        best[row["bytes"]] = min(best.get(row["bytes"], float("inf")), row["native"]["p50"])
    print(f"# {run}: against the best native call of {len(alike)} threading level(s)")
    print(f"{'bytes':>10}{'native us':>12}{'array':>9}{'plan':>9}{'buffer':>9}{'ring':>9}")
    for row in rows:
        ratios = "".join(f"{best[row['bytes']] / row[side]['p50']:>8.2f}x" for side in SIDES[1:])
        print(f"{row['bytes']:>10}{best[row['bytes']]:>12.2f}{ratios}")


if __name__ == "__main__":
    main()
