"""``dpmpi predict``: apply a fitted model to a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import IO, Any

import numpy as np

from .. import data, model_file
from ..engine import Engine
from ..metrics import evaluate
from ..prepare import apply_pipeline, columns_of
from ..training.fit import FitResult
from .fit_report import as_json, metrics_line
from .options import add_data_options, arrays_or_stream, check_outputs, load_model, open_for_model
from .scores import csv_lines, output_columns, predict_rows
from .stream import add_stream_options, answer_stream, check_stream_options

STANDARD_OUTPUT = "-"
ROWS_AT_ONCE = 1 << 16


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "predict",
        help="apply a fitted model to a table, or to rows as they arrive",
        description="Write one prediction a row, in the rows' order, as CSV: 'prediction', and for a classifier "
        "'probability' (that of the second class). Where the target is there, print metrics too. With --stream the "
        "rows come on standard input, in place of DATA, and each is answered by a line on standard output.",
    )
    parser.add_argument("model", metavar="MODEL.npz", help="what 'dpmpi fit --output' wrote")
    files = add_data_options(parser)
    parser.add_argument(
        "--output",
        metavar="PREDICTIONS.csv",
        help="where to write (default predictions.csv; '-': standard output, metrics then go to standard error)",
    )
    parser.add_argument("--report", metavar="REPORT.json", help="write the metrics here, as JSON")
    add_stream_options(parser, files)
    return parser


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 prints and writes."""
    if options.stream:
        check_stream_options(engine, options)
        answer_stream(model_file.load(options.model), options)
        return
    output = options.output or "predictions.csv"
    to_file = output != STANDARD_OUTPUT
    check_outputs(engine, (output if to_file else None, options.report), (options.model, options.data))
    saved = load_model(engine, options.model)
    dataset = open_for_model(engine, options, saved, target_required=options.target is not None)
    if saved.pipeline is not None:
        saved = saved.unscaled(columns_of(dataset, dataset.empty()))
        assert saved.pipeline is not None
        dataset = apply_pipeline(dataset, saved.pipeline)
    X, y, _ = arrays_or_stream(engine, dataset)
    with engine.comm.together("predicting"):
        predictions = _predictions(engine, X, saved.result)
    metrics = {} if dataset.target is None else evaluate(engine, saved.result, X, y)
    report = {"model": saved.result.model, "ranks": engine.size, "rows": dataset.n_rows, "metrics": metrics}
    parts = engine.comm.gather_parts(predictions)
    error = None
    if engine.rank == 0:
        try:
            _write(output, parts, output_columns(saved.result.classes is not None), options.report, report)
        except (OSError, ValueError) as caught:
            error = caught
    for _ in parts:  # on rank 0, what a failure left: the others are still sending
        pass
    with engine.comm.together("writing the results"):
        if error is not None:
            raise error
    if engine.rank > 0:
        return
    told = metrics_line(metrics)
    stream = sys.stdout if to_file else sys.stderr
    print(f"{dataset.n_rows} predictions by a {saved.result.model} model{': ' + told if told else ''}", file=stream)
    for path in filter(None, (output if to_file else None, options.report)):
        print(f"wrote {path}", file=stream)


def _predictions(engine: Engine, rows: Any, result: FitResult) -> np.ndarray:
    """Return (n, 1) predictions, or (n, 2) labels and probabilities, of this rank's rows."""
    blocks = (block.X for block in rows.blocks()) if isinstance(rows, data.Dataset) else [rows]
    width = 1 if result.classes is None else 2
    return np.concatenate([np.zeros((0, width)), *(engine.map(predict_rows, X, result) for X in blocks)])


def _write(
    output: str, parts: Iterable[np.ndarray], names: tuple[str, ...], report_path: str | None, report: dict[str, Any]
) -> None:
    """Write the predictions of the ranks one after the other, and the report."""
    to_file = output != STANDARD_OUTPUT
    sys.stdout.flush()
    with data.atomic_writes(*filter(None, (report_path, output if to_file else None))) as files:
        if report_path:
            files[0].write(as_json(report))
        file: IO[bytes] = files[-1] if to_file else sys.stdout.buffer
        file.write(",".join(names).encode() + b"\n")
        for part in parts:
            for low in range(0, len(part), ROWS_AT_ONCE):
                file.write(csv_lines(part[low : low + ROWS_AT_ONCE]))
        file.flush()
