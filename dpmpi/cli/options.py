"""Options and checks that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from .. import data, model_file
from ..engine import Engine
from ..model_file import SavedModel


def add_input_options(parser: argparse.ArgumentParser) -> argparse.Action:
    """Add the options that say which files to read, and how; return DATA's."""
    files = parser.add_argument(
        "data",
        metavar="DATA",
        help=f"file with the rows ({', '.join(data.FORMATS)}; text also .gz), a folder of such files, or a pattern in "
        "quotes ('part-*.csv')",
    )
    parser.add_argument("--format", choices=data.FORMATS, help="format of DATA (default: by name and first line)")
    parser.add_argument(
        "--max-memory",
        metavar="SIZE",
        type=_size,
        help="memory for data on each rank, as 256MiB or 2GB (default: half of what the rank may use); rows that do "
        "not fit are read anew whenever they are needed",
    )
    parser.add_argument(
        "--dates", metavar="A,B,...",
        help="columns of dates, to be taken as seconds since 1970-01-01 00:00 UTC; a model remembers those it was "
        "fitted on",
    )  # fmt: skip
    parser.add_argument(
        "--scatter",
        action="store_true",
        help="only rank 0 sees DATA: it reads the rows and sends them to the other ranks, which hold them in memory",
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        help="folder for a binary copy of text files, written once and read instead from then on",
    )
    return files


def add_data_options(parser: argparse.ArgumentParser) -> argparse.Action:
    """Add the options that say what to read for a model; return DATA's."""
    files = add_input_options(parser)
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help="the column to predict: a name (CSV), a number (-1 is the last), or the name of an array (.npz, default "
        "y); libsvm files carry it as their label",
    )
    return files


def _size(text: str) -> int:
    try:
        return data.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def open_data(engine: Engine, options: argparse.Namespace, **wanted: Any) -> data.Dataset:
    """Open DATA; collective. `wanted` as for `data.open`; without `dates` in it, those of the options."""
    wanted.setdefault("dates", split_names(options.dates))
    with engine.timer("read"):
        return data.open(
            options.data,
            engine.comm,
            format=options.format,
            max_memory=options.max_memory,
            cache=options.cache,
            scatter=options.scatter,
            **wanted,
        )


def split_names(names: str | None) -> list[str]:
    """The names in an option, with commas between; none where it is not given."""
    return names.split(",") if names else []


def load_model(engine: Engine, path: str) -> SavedModel:
    """Read a model on rank 0 for all ranks; collective."""
    with engine.comm.together("reading the model"):
        loaded = model_file.load(path) if engine.rank == 0 else None
    saved: SavedModel = engine.comm.share(loaded)[0]
    return saved


def open_for_model(
    engine: Engine, options: argparse.Namespace, saved: SavedModel, target_required: bool, **wanted: Any
) -> data.Dataset:
    """Open DATA with the columns that a fitted model's preprocessing, if it has any, takes; collective."""
    raw = saved.pipeline
    target = options.target or saved.target
    given = [name for name in split_names(options.dates) if name != target]
    if given and set(given) != set(saved.dates):
        names = ", ".join(saved.dates) or "no column"
        raise data.DataError(
            f"--dates names {', '.join(given)}, but the model was fitted with dates in {names}; leave --dates out"
        )
    return open_data(
        engine,
        options,
        dates=[*saved.dates, *(name for name in split_names(options.dates) if name == target)],
        target=target,
        target_required=target_required,
        columns=saved.columns,
        n_columns=saved.n_numbers,
        picked=saved.picked,
        text=() if raw is None else raw.text,
        missing=raw is not None,
        **wanted,
    )


def arrays_or_stream(engine: Engine, dataset: data.Dataset) -> tuple[Any, Any, Any]:
    """X, y and weights of a data set that fits into memory; else the data set for X, to be streamed. Collective."""
    if not dataset.fits:
        return dataset, None, None
    with engine.timer("read"):
        table = dataset.load()
    return table.X, table.y, table.sample_weight


def check_outputs(engine: Engine, outputs: Sequence[str | None], inputs: Sequence[str]) -> None:
    """Raise DataError on every rank when rank 0 could not write one of `outputs`, before the long work starts.

    Also when one would replace another, or one of the files that `inputs` (files, folders, patterns) stand for.
    """
    with engine.comm.together("checking the output files"):
        if engine.rank == 0:
            taken = {os.path.realpath(file): f"what {path} reads" for path in inputs for file in data.expand(path)}
            for path in filter(None, outputs):
                real = os.path.realpath(path)
                if real in taken:
                    raise data.DataError(f"{path}: it would replace {taken[real]}; name another file to write")
                taken[real] = "another output of this command"
                data.check_writable(path)
