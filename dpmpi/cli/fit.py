"""``dpmpi fit``: read a table, fit a model, say how good it is, write it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import data, model_file
from ..engine import Engine
from ..fit import SOLVERS, FitResult, fit
from ..metrics import evaluate
from ..models import MODELS
from ..prepare import apply_pipeline, fit_pipeline
from ..preprocess import text_columns
from ..training_rows import LabelError
from .options import add_data_options, arrays_or_stream, check_outputs, open_data
from .preprocess import add_preprocess_options, steps
from .progress import Progress

OBJECTIVE = (
    "The loss reported is sum(w * loss) / sum(w) + l2/2 * |coef|^2, with w the weights (1 without --weight), the "
    "intercept not penalised, and per row half the squared error (linear) or the log loss (logistic)."
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fit",
        help="fit a model to a table",
        description="Fit a model to a table whose rows are shared out over the ranks; each rank reads its own rows.",
        epilog=OBJECTIVE,
    )
    add_data_options(parser)
    parser.add_argument("--weight", metavar="COLUMN", help="column with the rows' weights (0 or more)")
    parser.add_argument("--columns", metavar="A,B,...", help="columns to fit on (default: all but target and weight)")
    parser.add_argument("--model", choices=sorted(MODELS), required=True, help="what to fit")
    parser.add_argument("--l2", type=float, default=0.0, help="penalty on the coefficients (default 0)")
    parser.add_argument("--no-intercept", action="store_true", help="fit no intercept")
    parser.add_argument(
        "--solver", choices=SOLVERS, default="lbfgs", help="lbfgs: full gradient (default); sgd: mini-batches"
    )
    parser.add_argument("--tol", type=float, help="stop at this gradient (lbfgs) or relative change an epoch (sgd)")
    parser.add_argument("--max-iter", type=int, help="iterations (lbfgs, default 1000) or epochs (sgd, default 100)")
    parser.add_argument("--batch-size", type=int, default=256, help="sgd: rows of a batch over all ranks (default 256)")
    parser.add_argument("--learning-rate", type=float, default=0.05, help="sgd: first step length (default 0.05)")
    parser.add_argument("--momentum", type=float, default=0.9, help="sgd: share of the last step kept (default 0.9)")
    parser.add_argument("--seed", type=int, default=0, help="sgd: seed of the batches (default 0)")
    add_preprocess_options(parser)
    parser.add_argument("--output", metavar="MODEL.npz", help="write the fitted model here")
    parser.add_argument("--report", metavar="REPORT.json", help="write what was run and found here, as JSON")
    parser.add_argument(
        "--progress", choices=("auto", "live", "plain", "off"), default="auto",
        help="a live line, plain lines, or nothing (default: live on a terminal, else plain)",
    )  # fmt: skip
    return parser


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 prints and writes."""
    begin = time.perf_counter()
    check_outputs(engine, options.output, options.report)
    with engine.comm.together("reading the options"):
        preprocessing = steps(options)
    dataset = open_data(
        engine,
        options,
        target=options.target,
        columns=options.columns.split(",") if options.columns else None,
        weight=options.weight,
        text=text_columns(preprocessing),
        missing=bool(options.impute),
    )
    if dataset.target is None:
        raise data.DataError(f"{dataset.source}: name the column to fit with --target")
    raw_columns = dataset.columns
    pipeline = None
    if preprocessing:
        if dataset.fits:  # to be passed over several times
            with engine.comm.together("reading the data"), engine.timer("read"):
                dataset = dataset.keep()
        pipeline = fit_pipeline(engine, dataset, preprocessing)
        dataset = apply_pipeline(dataset, pipeline)
    X, y, sample_weight = arrays_or_stream(engine, dataset)
    nodes = len(set(engine.comm.node_names()))
    counts = engine.comm.share(dataset.n_local)
    if engine.rank == 0:
        print(_headline(engine, options, dataset, counts, nodes), flush=True)
    progress = Progress(options.progress) if engine.rank == 0 else Progress("off")
    unit = "epoch" if options.solver == "sgd" else "iteration"
    try:
        result = fit(
            engine,
            options.model,
            X,
            y,
            sample_weight,
            l2=options.l2,
            solver=options.solver,
            fit_intercept=not options.no_intercept,
            tol=options.tol,
            max_iter=options.max_iter,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            momentum=options.momentum,
            seed=options.seed,
            callback=lambda n, loss: progress.update(f"{unit} {n}  loss {loss:.10g}"),
        )
    except LabelError as error:
        raise data.DataError(
            f"{dataset.source}: target {dataset.target!r}: {error}; choose a column with two values"
        ) from error
    finally:
        progress.close()
    metrics = evaluate(engine, result, X, y)
    seconds = _seconds(engine, time.perf_counter() - begin)
    report = _report(engine, options, dataset, counts, nodes, result, metrics, seconds)
    with engine.comm.together("writing the results"):
        if engine.rank == 0:
            if options.output:
                columns = None if raw_columns is None else list(raw_columns)
                model_file.save(options.output, model_file.SavedModel(result, columns, dataset.target, pipeline))
            if options.report:
                with data.atomic_write(options.report) as file:
                    file.write((json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    if engine.rank == 0:
        print(_summary(result, unit, metrics, seconds))
        for path in filter(None, (options.output, options.report)):
            print(f"wrote     {path}")


def _headline(engine: Engine, options: argparse.Namespace, dataset: data.Dataset, counts: list[int], nodes: int) -> str:
    each = f"{counts[0]}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    streamed = "" if dataset.fits else ", streamed"
    plural = "s" if engine.size > 1 else ""
    return (
        f"dpmpi     {engine.size} rank{plural} on {nodes} node{'s' if nodes > 1 else ''}, "
        f"{engine.comm.library()['mpi_library']}\n"
        f"data      {dataset.source}: {dataset.n_rows} rows x {dataset.n_columns} columns, "
        f"{each} rows per rank{streamed}\n"
        f"model     {options.model}, l2 {options.l2:g}, solver {options.solver}"
    )


def _seconds(engine: Engine, total: float) -> dict[str, float]:
    """Return the seconds of each activity, the mean over ranks, and in total."""
    names = ("read", "compute", "communicate")
    mean = engine.comm.allreduce(np.array([engine.seconds[name] for name in names]), "mean")
    return dict(zip(names, mean.tolist(), strict=True)) | {"total": total}


def _report(
    engine: Engine,
    options: argparse.Namespace,
    dataset: data.Dataset,
    counts: list[int],
    nodes: int,
    result: FitResult,
    metrics: dict[str, float | None],
    seconds: dict[str, float],
) -> dict[str, Any]:
    return {
        "data": str(Path(options.data)),
        "model": result.model,
        "solver": result.solver,
        "l2": result.l2,
        "ranks": engine.size,
        "nodes": nodes,
        "rows": dataset.n_rows,
        "rows_per_rank": counts,
        "columns": dataset.n_columns,
        "streamed": not dataset.fits,
        "loss": result.loss,
        "n_iter": result.n_iter,
        "converged": result.converged,
        "message": result.message,
        "metrics": metrics,
        "seconds": seconds,
        **engine.comm.library(),
    }


def _summary(result: FitResult, unit: str, metrics: dict[str, float | None], seconds: dict[str, float]) -> str:
    state = "converged" if result.converged else "NOT converged"
    told = "  ".join(f"{name} {'undefined' if value is None else f'{value:.6g}'}" for name, value in metrics.items())
    total = seconds["total"]
    shares = {
        "reading": seconds["read"], "kernels": seconds["compute"], "communication": seconds["communicate"],
    }  # fmt: skip
    return (
        f"loss      {result.loss:.12g} after {result.n_iter} {unit}{'s' if result.n_iter != 1 else ''}, "
        f"{state}: {result.message}\n"
        f"training  {told}\n"
        f"time      {total:.3f} s: " + ", ".join(f"{value / total:.0%} {name}" for name, value in shares.items())
    )
