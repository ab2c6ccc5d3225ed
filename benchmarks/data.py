"""Reading, streaming and describing beside the usual tools: ratios from one run.

    python benchmarks/data.py [--rows N] [--only text,stream,describe]

What is compared runs in turn, each in processes of its own, and the medians of several turns are divided. Columns:
what is compared; median seconds of dpmpi and of the other side; how many times dpmpi is as fast (or what else is said).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = 20
PREPARE = "import sys, time; path = sys.argv[1]; "
# The last of four calls: the first also load libraries and find fresh memory.
CLOCK = "for _ in range(4): t = time.perf_counter(); {}; seconds = time.perf_counter() - t\nprint(seconds)"
RANKS = """
import sys, time, json, resource
import dpmpi
from dpmpi import data
path, what, memory = sys.argv[1:4]
with dpmpi.Engine() as engine:
    comm = engine.comm
    if what == "read":
        for _ in range(4):
            comm.barrier()
            t = time.perf_counter()
            data.read(path, comm, **({"target": "y"} if ".csv" in path else {}))
            comm.barrier()
            told = {"seconds": time.perf_counter() - t}
    else:
        from dpmpi.summaries import describe
        comm.barrier()
        t = time.perf_counter()
        describe(engine, data.open(path, comm, missing=True, max_memory=memory))
        told = {"seconds": time.perf_counter() - t}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told["peak_mib"] = max(comm.share(peak))
    if comm.rank == 0:
        print(json.dumps(told))
"""


def main() -> None:
    """Run the comparisons that are asked for and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000, help="rows of the text files (default 400000)")
    parser.add_argument("--gib", type=float, default=4.0, help="size of the streamed data set (default 4 GiB)")
    parser.add_argument("--describe-rows", type=int, default=10_000_000, help="rows for describe (default 10^7)")
    parser.add_argument("--iterations", type=int, default=5, help="iterations of the streamed fit (default 5)")
    parser.add_argument("--cached", action="store_true", help="leave the streamed files in the cache of the system")
    parser.add_argument("--repeat", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--only", default="text,stream,describe", help="which of text, stream, describe")
    parser.add_argument("--folder", help="where to write the data (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name in options.only.split(","):
            {"text": text, "stream": stream, "describe": describe}[name](Path(folder), options)


def text(folder: Path, options: argparse.Namespace) -> None:
    """Compare the readers of text."""
    rng = np.random.default_rng(0)
    csv, svm = folder / "t.csv", folder / "t.svm"
    with csv.open("w") as file, svm.open("w") as other:
        file.write(",".join(f"x{j}" for j in range(COLUMNS)) + ",y\n")
        for _ in range(0, options.rows, 10_000):
            block = rng.normal(size=(10_000, COLUMNS + 1)).round(6).tolist()
            file.writelines(",".join(map(repr, row)) + "\n" for row in block)
            other.writelines(
                f"{row[-1]!r} " + " ".join(f"{j + 1}:{v!r}" for j, v in enumerate(row[:-1])) + "\n" for row in block
            )
    arrow = (
        "import numpy as np, pyarrow.csv as c; "
        "table = c.read_csv(path, c.ReadOptions(use_threads=False)); "
        "X = np.column_stack([column.to_numpy() for column in table.columns])"
    )
    sides = {
        "csv, 1 rank": lambda: ranks(1, csv, "read", "4GiB")["seconds"],
        "csv, 2 ranks": lambda: ranks(2, csv, "read", "4GiB")["seconds"],
        "libsvm, 1 rank": lambda: ranks(1, svm, "read", "4GiB")["seconds"],
        "pyarrow": lambda: alone(arrow.partition("; ")[0], arrow.partition("; ")[2], csv),
        "pandas": lambda: alone("import pandas", "pandas.read_csv(path).to_numpy()", csv),
        "scikit-learn": lambda: alone(
            "from sklearn.datasets import load_svmlight_file", "load_svmlight_file(path)", svm
        ),
    }
    seconds = medians(sides, options.repeat)
    for ours, theirs in [
        ("csv, 2 ranks", "csv, 1 rank"),
        ("csv, 1 rank", "pyarrow"),
        ("csv, 1 rank", "pandas"),
        ("libsvm, 1 rank", "scikit-learn"),
    ]:
        line(f"{ours} / {theirs}", seconds[ours], seconds[theirs])


def stream(folder: Path, options: argparse.Namespace) -> None:
    """Fit what does not fit into memory; a pass beside plain reading and the kernel alone."""
    n = int(options.gib * 2**30 / 8 / (COLUMNS + 1))
    npy, parquet = folder / "t.npy", folder / "t.parquet"
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    stored = np.lib.format.open_memmap(npy, "w+", np.float64, (n, COLUMNS + 1))
    names = [*(f"x{j}" for j in range(COLUMNS)), "y"]
    with pq.ParquetWriter(parquet, pa.schema([(name, pa.float64()) for name in names]), compression="snappy") as writer:
        for low in range(0, n, 1 << 18):
            block = rng.normal(size=(min(1 << 18, n - low), COLUMNS + 1))
            block[:, -1] = block[:, :-1].sum(axis=1) + rng.logistic(size=len(block)) > 0
            stored[low : low + len(block)] = block
            writer.write_table(pa.table(dict(zip(names, block.T, strict=True))))
    del stored
    state = "cached" if options.cached else "cold"
    for path in (npy, parquet):
        with path.open("rb") as file:
            os.fsync(file.fileno())  # only what is on the disk can be dropped from the cache
        loaded = None
        if options.gib * 2**30 < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 4:
            loaded = fitted(2, path, "1TiB", options.iterations, "load")
        for size in (1, 2):
            told = fitted(size, path, "512MiB", options.iterations, state)
            seconds, cpu = told["seconds"], told["cpu"]
            print(
                f"{path.suffix} {options.gib:g} GiB, {state}, {size} rank(s): pass {seconds['pass']:.2f} s, reading "
                f"{seconds['plain']:.2f} s, kernel {seconds['kernel']:.2f} s, ratio "
                f"{seconds['pass'] / max(seconds['plain'], seconds['kernel']):.2f}; CPU seconds {cpu['pass']:.2f}, "
                f"{cpu['plain']:.2f}, {cpu['kernel']:.2f}; peak RSS {told['peak_mib']:.0f} MiB",
                flush=True,
            )
            if loaded is not None:
                apart = max(abs(a - b) for a, b in zip(told["coef"], loaded["coef"], strict=True))
                print(f"    coefficients apart from those of rows in memory by {apart:.2g}", flush=True)


def describe(folder: Path, options: argparse.Namespace) -> None:
    """Compare describe on a table in memory of pandas with a file that is streamed."""
    path = folder / "d.npy"
    rng = np.random.default_rng(2)
    stored = np.lib.format.open_memmap(path, "w+", np.float64, (options.describe_rows, COLUMNS))
    for low in range(0, options.describe_rows, 1 << 18):
        stored[low : low + (1 << 18)] = rng.normal(size=stored[low : low + (1 << 18)].shape)
    del stored
    with path.open("rb") as file:
        os.fsync(file.fileno())  # nothing is still being written while the sides are measured
    told = {}

    def ours(size: int) -> float:
        told[size] = ranks(size, path, "describe", "512MiB")
        return told[size]["seconds"]

    pandas = "import numpy, pandas; frame = pandas.DataFrame(numpy.load(path))"
    sides = {
        "describe, 1 rank": lambda: ours(1),
        "describe, 2 ranks": lambda: ours(2),
        "pandas": lambda: alone(pandas, "frame.describe()", path),
    }
    seconds = medians(sides, max(1, options.repeat // 2))
    for size in (1, 2):
        name = f"describe, {size} rank{'s' * (size > 1)}"
        line(f"{name} / pandas, peak {told[size]['peak_mib']:.0f} MiB", seconds[name], seconds["pandas"])


def ranks(size: int, path: Path, *arguments: str) -> dict[str, Any]:
    """Run the script of this file on `size` ranks."""
    return launched(size, "-c", RANKS, str(path), *arguments)


def fitted(size: int, path: Path, memory: str, iterations: int, state: str) -> dict[str, Any]:
    """Run `streamed.py` on `size` ranks."""
    return launched(size, str(Path(__file__).with_name("streamed.py")), str(path), memory, str(iterations), state)


def launched(size: int, *arguments: str) -> dict[str, Any]:
    """What rank 0 of a script prints."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import launcher

    done = launcher.run(size, *arguments, timeout=1200)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(prepare: str, what: str, path: Path) -> float:
    """Seconds of a statement in a process of its own."""
    code = PREPARE + prepare + "\n" + CLOCK.format(what)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def medians(sides: dict, repeat: int) -> dict[str, float]:
    """Run the sides in turn and return the median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, run in sides.items():
            seconds[name].append(run())
    return {name: statistics.median(times) for name, times in seconds.items()}


def line(name: str, ours: float, theirs: float) -> None:
    """Print one comparison."""
    print(f"{name:<48} {ours:8.3f} s {theirs:8.3f} s {theirs / ours:8.2f}", flush=True)


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"# {time.perf_counter() - started:.0f} s, peak of this process {peak} MiB")
