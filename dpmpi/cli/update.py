"""``dpmpi fit --update``: go on fitting a saved model with more rows."""

from __future__ import annotations

import argparse
from dataclasses import replace

from .. import data
from ..engine import Engine
from ..metrics import evaluate
from ..prepare import apply_pipeline
from ..training.partial_fit import partial_fit
from ..training.rows import LabelError
from .fit_report import Run, metrics_line
from .options import arrays_or_stream, check_outputs, load_model, open_for_model
from .preprocess import PREPROCESSING

# What the model says itself, or what there is none of in one pass.
FIXED = (
    "model", "l2", "no_intercept", "solver", "tol", "max_iter", "columns", "augment", "validation", "drop_duplicates",
)  # fmt: skip


def run_update(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 prints and writes."""
    given = [name for name in (*FIXED, *PREPROCESSING) if getattr(options, name)]
    if given:
        raise data.DataError(f"--{given[0].replace('_', '-')} does not go with --update; leave it out")
    told = Run(engine, options)
    output = options.output or options.update
    check_outputs(engine, (output, options.report), (options.data,))
    check_outputs(engine, (options.report,), (options.update,))
    saved = load_model(engine, options.update)
    dataset = open_for_model(engine, options, saved, target_required=True, weight=options.weight)
    if dataset.target is None:
        raise data.DataError(f"{dataset.source}: name the column to learn with --target")
    if saved.pipeline is not None:
        dataset = apply_pipeline(dataset, saved.pipeline)
    X, y, sample_weight = arrays_or_stream(engine, dataset)
    before = saved.result
    told.start(dataset, f"update    {before.model}, l2 {before.l2:g}, after {before.n_iter} iterations")
    try:
        result = partial_fit(
            engine,
            before,
            X,
            y,
            sample_weight,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            momentum=options.momentum,
            seed=options.seed,
        )
    except LabelError as error:
        raise data.DataError(f"{dataset.source}: target {dataset.target!r}: {error}") from error
    metrics = evaluate(engine, result, X, y)
    lines = [
        f"loss      {result.loss:.12g} on rows before they were learnt: {result.message}",
        f"training  {metrics_line(metrics)}",
    ]
    told.finish(replace(saved, result=result), output, lines, metrics=metrics)
