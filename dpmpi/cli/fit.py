"""``dpmpi fit``: read a table, fit a model, say how good it is, write it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from .. import data, model_file
from ..duplicates import drop_duplicates
from ..engine import Engine
from ..metrics import evaluate
from ..models import MODELS
from ..prepare import apply_pipeline, apply_unscaled, fit_pipeline
from ..preprocess import Folded, Pipeline, text_columns
from ..training.fit import SOLVERS, FitResult, fit
from ..training.rows import LabelError
from ..validation import split
from .augment import HELP, augmentations
from .fit_report import Run, loss_line, metrics_line
from .options import add_data_options, arrays_or_stream, check_outputs, open_data
from .preprocess import add_preprocess_options, steps
from .progress import Progress
from .update import run_update

OBJECTIVE = (
    "The loss reported is sum(w * loss) / sum(w) + l2/2 * |coef|^2, with w the weights (1 without --weight), the "
    "intercept not penalised, and per row half the squared error (linear) or the log loss (logistic)."
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fit",
        help="fit a model to a table, or update one with more rows",
        description="Fit a model to a table whose rows are shared out over the ranks; each rank reads its own rows. "
        "With --update, go on with a fitted model: one pass of mini-batches over the new rows.",
        epilog=OBJECTIVE,
    )
    add_data_options(parser)
    parser.add_argument("--weight", metavar="COLUMN", help="column with the rows' weights (0 or more)")
    parser.add_argument("--columns", metavar="A,B,...", help="columns to fit on (default: all but target and weight)")
    parser.add_argument("--model", choices=sorted(MODELS), help="what to fit; required without --update")
    parser.add_argument(
        "--update", metavar="MODEL.npz",
        help="the model to go on with; it is replaced, unless --output names another file. Model, penalty, columns and "
        "preprocessing are what it was fitted with",
    )  # fmt: skip
    parser.add_argument("--l2", type=float, help="penalty on the coefficients (default 0)")
    parser.add_argument("--no-intercept", action="store_true", help="fit no intercept")
    parser.add_argument("--solver", choices=SOLVERS, help="lbfgs: full gradient (default); sgd: mini-batches")
    parser.add_argument("--tol", type=float, help="stop at this gradient (lbfgs) or relative change an epoch (sgd)")
    parser.add_argument("--max-iter", type=int, help="iterations (lbfgs, default 1000) or epochs (sgd, default 100)")
    parser.add_argument(
        "--batch-size", type=int, default=256, help="sgd, update: rows of a batch over all ranks (default 256)"
    )
    parser.add_argument(
        "--learning-rate", type=float, default=0.05,
        help="sgd, update: step length (default 0.05); sgd's becomes shorter from epoch to epoch",
    )  # fmt: skip
    parser.add_argument(
        "--momentum", type=float, default=0.9, help="sgd, update: share of the last step kept (default 0.9)"
    )
    parser.add_argument("--augment", metavar="HOW,...", help=HELP)
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the batches, of --augment and of --validation (default 0)"
    )
    parser.add_argument(
        "--validation", metavar="SHARE", type=float,
        help="hold out this share of the rows, as 0.2, and say how good the model is on them; which rows depends on "
        "their numbers and the seed alone",
    )  # fmt: skip
    parser.add_argument(
        "--drop-duplicates", action="store_true", help="leave out rows that equal one before them in every column read"
    )
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
    if options.update is not None:
        run_update(engine, options)
        return
    if options.model is None:
        raise data.DataError(f"name what to fit with --model: {', '.join(sorted(MODELS))}")
    told = Run(engine, options)
    check_outputs(engine, (options.output, options.report), (options.data,))
    with engine.comm.together("reading the options"):
        preprocessing, augment = steps(options), augmentations(options.augment)
        if augment and options.solver != "sgd":
            raise data.DataError("--augment changes mini-batches; add --solver sgd")
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
    raw_columns, picked = dataset.columns, dataset.picked
    if dataset.fits and (preprocessing or options.drop_duplicates or options.validation is not None):
        with engine.comm.together("reading the data"), engine.timer("read"):
            dataset = dataset.keep()  # it is passed over several times
    n_rows = dataset.n_rows
    dataset, held_out = _choose_rows(engine, options, dataset)
    lines, found = _chosen_rows(n_rows, dataset, held_out, options.drop_duplicates)
    pipeline = scaling = None
    if preprocessing:
        pipeline = fit_pipeline(engine, dataset, preprocessing)
        dataset, folded = _prepared(dataset, pipeline, bool(augment))
        scaling = folded.scaling
        if held_out is not None:
            held_out = _prepared(held_out, pipeline, bool(augment))[0]
        if scaling is not None or folded.reason:
            found["scaling"] = "row by row" if folded.reason else "folded into the coefficients"
            lines.append(f"scaling   {found['scaling']}{': ' * bool(folded.reason)}{folded.reason}")
    X, y, sample_weight = arrays_or_stream(engine, dataset)
    solver = options.solver or "lbfgs"
    told.start(dataset, *lines, f"model     {options.model}, l2 {options.l2 or 0.0:g}, solver {solver}")
    unit = "epoch" if solver == "sgd" else "iteration"
    with _labels_of(dataset), closing(Progress(options.progress if engine.rank == 0 else "off")) as progress:
        result = fit(
            engine,
            options.model,
            X,
            y,
            sample_weight,
            l2=options.l2 or 0.0,
            solver=solver,
            fit_intercept=not options.no_intercept,
            tol=options.tol,
            max_iter=options.max_iter,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            momentum=options.momentum,
            seed=options.seed,
            augment=augment,
            scaling=scaling,
            callback=lambda n, loss: progress.update(f"{unit} {n}  loss {loss:.10g}"),
        )
    raw_result = result if scaling is None else result.of_unscaled(scaling)
    found["metrics"] = evaluate(engine, raw_result, X, y)
    lines = [loss_line(result, unit), f"training  {metrics_line(found['metrics'])}"]
    if held_out is not None:
        metrics = _validate(engine, raw_result, held_out)
        found["validation"] = {"rows": held_out.n_rows, "metrics": metrics}
        lines.append(f"held out  {metrics_line(metrics)}")
    columns = None if raw_columns is None else list(raw_columns)
    dates = tuple(name for name in (options.dates or "").split(",") if name in (columns or ()))
    saved = model_file.SavedModel(result, columns, dataset.target, pipeline, dates, picked)
    told.finish(saved, options.output, lines, **found)


def _prepared(dataset: data.Dataset, pipeline: Pipeline, augmented: bool) -> tuple[data.Dataset, Folded]:
    """The rows as the model takes them. What augmentation changes are rows that are scaled, where they are at all."""
    return (apply_pipeline(dataset, pipeline), Folded(pipeline)) if augmented else apply_unscaled(dataset, pipeline)


def _choose_rows(
    engine: Engine, options: argparse.Namespace, dataset: data.Dataset
) -> tuple[data.Dataset, data.Dataset | None]:
    """The rows to train on, and those to validate with."""
    if options.drop_duplicates:
        dataset = drop_duplicates(engine, dataset)
    if options.validation is None:
        return dataset, None
    return split(engine, dataset, options.validation, options.seed)


def _chosen_rows(
    n_rows: int, dataset: data.Dataset, held_out: data.Dataset | None, dropped: bool
) -> tuple[list[str], dict[str, Any]]:
    """What is said of the choice of rows, out of `n_rows`, and what begins the report."""
    n_held_out = 0 if held_out is None else held_out.n_rows
    duplicates = n_rows - dataset.n_rows - n_held_out
    lines = [f"dropped   {duplicates} duplicate rows of {n_rows}"] if dropped else []
    if held_out is not None:
        lines.append(f"held out  {n_held_out} rows to validate with")
    return lines, {"duplicates": duplicates if dropped else None, "validation": None, "scaling": None}


@contextmanager
def _labels_of(dataset: data.Dataset) -> Iterator[None]:
    """Say whose labels are not two."""
    try:
        yield
    except LabelError as error:
        raise data.DataError(
            f"{dataset.source}: target {dataset.target!r}: {error}; choose a column with two values"
        ) from error


def _validate(engine: Engine, result: FitResult, held_out: data.Dataset) -> dict[str, float | None]:
    X, y, _ = arrays_or_stream(engine, held_out)
    try:
        return evaluate(engine, result, X, y)
    except data.DataError:
        raise
    except ValueError as error:  # a label that no row to train on had
        raise data.DataError(f"{held_out.source}: the rows held out: {error}") from error
