"""All-reduce of float32 sums over several hosts: how much of the link each algorithm reaches, and what it sends.

    python benchmarks/hosts.py --rate 1gbit -- python benchmarks/between_hosts.py
    python benchmarks/hosts.py --rate 1gbit -- python benchmarks/between_hosts.py --overlap

or under mpiexec on real hosts, with ``--device`` the link's network device. Sides, timed call by call in turn, each
after a barrier; a call takes as long as its slowest rank:

    link          what the algorithms have to send at least, 2 (h - 1) / h of the bytes out of each of h hosts, by one
                  plain MPI_Sendrecv between neighbouring hosts' first ranks, with no reduction
    native        MPI_Allreduce in place
    array         Communicator.allreduce on a user's array
    NAME          a plan of this algorithm: ring, hierarchical, ...
    NAME-buffer   the same on the plan's own buffer in node-shared memory
    NAME-agreed   the same as NAME without the agreement on the call, where that is not part of the algorithm
    FORMAT        a plan on its own buffer with this format on the wire: bf16, fp16, int8, topk

For each: the median in microseconds; bytes that left this host for each of the array's, the barriers' among them; what
part of the link's speed it reached, as bytes of the array. `#wrong` counts elements that differ from the exact sum, not
for FORMATs.

With --overlap instead: a bucket of four arrays, each of a quarter of the bytes. The time to combine them; the time of a
computation of about the same length, in four parts made of short calls of a kernel; both, one after another and with
``bucket.start`` before each part and ``bucket.poll`` between the calls; and how much of the communication that hides.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

import dpmpi

WARM_UP = 2
PARTS = 4
CALLS_BETWEEN_POLLS = 20  # some hundred microseconds
FORMATS = ("bf16", "fp16", "int8", "topk")


def main() -> None:
    """Run the sweep; rank 0 prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, nargs="+", default=[8 << 3 * k for k in range(8)] + [64 << 20])
    parser.add_argument("--sides", nargs="+", default=["link", "native", "array", "ring", "hierarchical"])
    parser.add_argument("--repeat", type=int, default=300, help="timed calls of each side at most")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="for each side at each size at most, 3 calls at least"
    )
    parser.add_argument("--device", default="eth0", help="the network device whose bytes are counted")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows here")
    parser.add_argument("--overlap", action="store_true", help="hide communication behind a computation instead")
    parser.add_argument("--wire", choices=FORMATS, help="of the overlapped bucket")
    options = parser.parse_args()
    with dpmpi.Communicator() as comm:
        if options.overlap:
            for n_bytes in options.bytes:
                overlap(comm, n_bytes, options)
            return
        hosts = Hosts(options.device)
        if comm.rank == 0:
            print(f"# {hosts.count} hosts, {comm.size} ranks, {comm.library()['mpi_library']}")
            print(f"{'bytes':>9} {'side':<22}{'p50 us':>12}{'min us':>12}{'bytes out':>10}{'of link':>9}{'#wrong':>8}")
        rows = [row for n_bytes in options.bytes for row in measure(comm, hosts, n_bytes, options)]
        if comm.rank == 0 and options.json:
            options.json.write_text(json.dumps(rows, indent=1))


class Hosts:
    """Which ranks are where, and the link's counter."""

    def __init__(self, device: str) -> None:
        local = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
        self.is_first = local.rank == 0
        self.first = MPI.COMM_WORLD.Split(0 if self.is_first else MPI.UNDEFINED)
        self.count = MPI.COMM_WORLD.allreduce(int(self.is_first))
        self._counter = Path("/sys/class/net", device, "statistics/tx_bytes")

    def bytes_out(self) -> int:
        """How many bytes have left this host; 0 where the device is not to be found."""
        return int(self._counter.read_text()) if self._counter.exists() else 0

    def exchange(self, n_bytes: int) -> Callable[[], object]:
        """Return what sends the least that an all-reduce of `n_bytes` bytes has to."""
        if not self.is_first or self.count == 1:
            return lambda: None
        least = 2 * (self.count - 1) * n_bytes // self.count
        sent, received = np.ones(least, np.uint8), np.zeros(least, np.uint8)
        right, left = (self.first.rank + 1) % self.count, (self.first.rank - 1) % self.count
        return lambda: self.first.Sendrecv(sent, right, 0, received, left, 0)


def measure(comm: Any, hosts: Hosts, n_bytes: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time all sides at one size."""
    n = n_bytes // 4
    data = np.random.default_rng(comm.rank).integers(0, 100, n).astype(np.float32)
    exact = comm.allreduce(data.astype(np.float64), out=np.empty(n))
    plans, runs = [], {}
    for side in options.sides:
        array = np.empty_like(data)
        if side == "link":
            runs[side] = hosts.exchange(n_bytes), None
        elif side == "native":
            runs[side] = (lambda a=array: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, a)), array
        elif side == "array":
            runs[side] = (lambda a=array: comm.allreduce(a)), array
        elif side in FORMATS:
            plans.append(comm.plan_allreduce(n, np.float32, wire=side))
            runs[side] = plans[-1].run, plans[-1].buffer
        else:
            name, _, kind = side.partition("-")
            plan = comm.plan_allreduce(n, np.float32, algorithm=name, buffer=None if kind == "buffer" else array)
            plans.append(plan)
            runs[side] = plan.run_agreed if kind == "agreed" else plan.run, plan.buffer
    rows = time_sides(comm, hosts, runs, data, exact, options)
    for plan in plans:
        plan.close()
    for row in rows:
        row["bytes"] = n_bytes
        row["of_link"] = rows[0]["p50"] / row["p50"] if "link" in runs else float("nan")
        if comm.rank == 0:
            print(
                f"{n_bytes:>9} {row['side']:<22}{row['p50']:>12.1f}{row['min']:>12.1f}"
                f"{row['bytes_out'] / n_bytes:>10.3f}{row['of_link']:>8.0%} {row['wrong']:>7}",
                flush=True,
            )
    return rows


def time_sides(
    comm: Any,
    hosts: Hosts,
    runs: dict[str, tuple[Callable[[], object], np.ndarray | None]],
    data: np.ndarray,
    exact: np.ndarray,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Run the sides in turn; return a row for each."""
    times: dict[str, list[float]] = {side: [] for side in runs}
    sent = dict.fromkeys(runs, 0)
    wrong = dict.fromkeys(runs, 0)
    spent = 0.0
    for call in range(-WARM_UP, options.repeat):
        begin = time.perf_counter()
        for side, (run, buffer) in runs.items():
            if buffer is not None:
                buffer[:] = data
            before = hosts.bytes_out()  # takes long beside a small call, so the ranks meet behind it
            MPI.COMM_WORLD.Barrier()
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            MPI.COMM_WORLD.Barrier()
            if call >= 0:
                times[side].append(seconds)
                sent[side] += hosts.bytes_out() - before
            if call == 0 and buffer is not None and side not in FORMATS:
                wrong[side] = int(np.count_nonzero(buffer != exact))
        spent += time.perf_counter() - begin if call >= 0 else 0.0
        if call >= 2 and MPI.COMM_WORLD.bcast(spent) > options.seconds * len(runs):
            break
    rows = []
    for side in runs:
        slowest = comm.allreduce(np.array(times[side]), "max") * 1e6
        rows.append(
            {
                "side": side,
                "p50": float(np.median(slowest)),
                "min": float(slowest.min()),
                "calls": len(slowest),
                "bytes_out": sent[side] / len(slowest),
                "wrong": wrong[side],
            }
        )
    return rows


def overlap(comm: Any, n_bytes: int, options: argparse.Namespace) -> None:
    """Measure how much of a bucket's time a computation hides; rank 0 prints."""
    arrays = [np.ones(n_bytes // 16, np.float32) for _ in range(PARTS)]
    block, total = np.ones(1 << 15, np.float32), np.zeros(1 << 15, np.float32)

    def compute(calls: int, poll: Callable[[], object] | None = None) -> None:
        for call in range(calls):
            dpmpi.kernels.sum_into(block, total)
            if poll is not None and call % CALLS_BETWEEN_POLLS == 0:
                poll()

    def overlapped(calls: int) -> None:
        for i in range(PARTS):
            bucket.start(i)
            compute(calls, bucket.poll)
        bucket.wait()

    def in_turn(calls: int) -> None:
        for _ in range(PARTS):
            compute(calls)
        bucket.run()

    with comm.bucket(arrays, bucket_bytes=n_bytes // PARTS, wire=options.wire) as bucket:
        calls = int(slowest(comm, [bucket.run], 5)[0] / PARTS / slowest(comm, [lambda: compute(5000)], 5)[0] * 5000)
        sides = [bucket.run, lambda: compute(PARTS * calls), lambda: in_turn(calls), lambda: overlapped(calls)]
        communication, computation, both, together = slowest(comm, sides, min(options.repeat, 30))
    if comm.rank == 0:
        print(
            f"{n_bytes} bytes in {PARTS} buckets: communication {1e3 * communication:.1f} ms, computation "
            f"{1e3 * computation:.1f} ms, in turn {1e3 * both:.1f} ms, overlapped {1e3 * together:.1f} ms: "
            f"{(both - together) / communication:.0%} of the communication hidden",
            flush=True,
        )


def slowest(comm: Any, runs: list[Callable[[], object]], repeat: int) -> list[float]:
    """Return the median seconds of each of the `runs`, taken in turn, on its slowest rank; each after a barrier."""
    seconds = np.empty((repeat, len(runs)))
    for i in range(-1, repeat):
        for k, run in enumerate(runs):
            comm.barrier()
            begin = time.perf_counter()
            run()
            seconds[max(i, 0), k] = time.perf_counter() - begin
    return [float(median) for median in np.median(comm.allreduce(seconds, "max"), axis=0)]


if __name__ == "__main__":
    main()
