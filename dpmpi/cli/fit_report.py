"""What ``dpmpi fit`` prints and writes of a run."""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import data, model_file
from ..engine import Engine
from ..training.fit import FitResult

Metrics = dict[str, float | None]


class Run:
    """A fit on the command line, from its options to its results. Collective; rank 0 prints and writes."""

    def __init__(self, engine: Engine, options: argparse.Namespace) -> None:
        self._engine, self._options = engine, options
        self._begin = time.perf_counter()
        self._rows: dict[str, Any] = {}

    def start(self, dataset: data.Dataset, *lines: str) -> None:
        """Print where the command runs, the rows of `dataset` that it fits, and `lines`."""
        engine = self._engine
        nodes = len(set(engine.comm.node_names()))
        counts = engine.comm.share(dataset.n_local)
        self._rows = {
            "ranks": engine.size,
            "nodes": nodes,
            "rows": dataset.n_rows,
            "rows_per_rank": counts,
            "columns": dataset.n_columns,
            "streamed": not dataset.fits,
        }
        each = f"{counts[0]}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        self._print(
            f"dpmpi     {engine.size} rank{'s' if engine.size > 1 else ''} on {nodes} node{'s' if nodes > 1 else ''}, "
            f"{engine.comm.library()['mpi_library']}",
            f"data      {dataset.source}: {dataset.n_rows} rows x {dataset.n_columns} columns, "
            f"{each} rows per rank{'' if dataset.fits else ', streamed'}",
            *lines,
        )

    def finish(self, saved: model_file.SavedModel, output: str | None, lines: list[str], **found: Any) -> None:
        """Write model and report, and print `lines`; `found` goes into the report."""
        result, seconds = saved.result, self._seconds()
        report = {
            "data": str(Path(self._options.data)),
            "model": result.model,
            "solver": result.solver,
            "l2": result.l2,
            **self._rows,
            "loss": result.loss,
            "n_iter": result.n_iter,
            "converged": result.converged,
            "message": result.message,
            **found,
            "seconds": seconds,
            **self._engine.comm.library(),
        }
        with self._engine.comm.together("writing the results"):
            if self._engine.rank == 0:
                with data.atomic_writes(*filter(None, (self._options.report, output))) as files:
                    if self._options.report:
                        files[0].write(as_json(report))
                    if output:
                        model_file.write(files[-1], saved)
        self._print(*lines, _time(seconds))
        self._print(*(f"wrote     {path}" for path in (output, self._options.report) if path))

    def _seconds(self) -> dict[str, float]:
        """Seconds of each activity, the mean over ranks, and in total."""
        total = time.perf_counter() - self._begin
        names = ("read", "compute", "communicate")
        mean = self._engine.comm.allreduce(np.array([self._engine.seconds[name] for name in names]), "mean")
        return dict(zip(names, mean.tolist(), strict=True)) | {"total": total}

    def _print(self, *lines: str) -> None:
        if self._engine.rank == 0 and lines:
            print("\n".join(lines), flush=True)


def as_json(report: dict[str, Any]) -> bytes:
    """A report as JSON; null for a number that is not finite, which JSON does not have."""
    return (json.dumps(_finite(report), indent=2, allow_nan=False) + "\n").encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def metrics_line(metrics: Metrics) -> str:
    """Metrics in words."""
    return "  ".join(f"{name} {'undefined' if value is None else f'{value:.6g}'}" for name, value in metrics.items())


def loss_line(result: FitResult, unit: str) -> str:
    """How the fit ended."""
    state = "converged" if result.converged else "NOT converged"
    return (
        f"loss      {result.loss:.12g} after {result.n_iter} {unit}{'s' if result.n_iter != 1 else ''}, "
        f"{state}: {result.message}"
    )


def _time(seconds: dict[str, float]) -> str:
    total = seconds["total"]
    shares = {
        "reading": seconds["read"], "kernels": seconds["compute"], "communication": seconds["communicate"],
    }  # fmt: skip
    return f"time      {total:.3f} s: " + ", ".join(f"{value / total:.0%} {name}" for name, value in shares.items())
