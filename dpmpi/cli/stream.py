"""``dpmpi predict --stream``: answer rows as they arrive on standard input."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import data
from ..data.arriving import LINE_FORMATS, DelimitedLines, JsonLines, LineParser, format_of_line
from ..data.columns import Wanted
from ..engine import Engine
from ..model_file import SavedModel
from ..preprocess import Columns, RowError, Text
from .arrivals import Line, arrivals, interrupts
from .output import is_lost
from .scores import csv_lines, json_lines, output_columns, predict_rows

SOURCE = "standard input"
MAX_DELAY = 0.05
MAX_ROWS = 1024
_REASON = "rows come on standard input, answers go out at once"
_REASONS = {"dates": "send dates as numbers, seconds since 1970-01-01 00:00 UTC"}


def add_stream_options(parser: argparse.ArgumentParser, files: argparse.Action) -> None:
    """Add the options of a stream, which replaces the argument `files`."""

    class Stream(argparse.Action):
        def __call__(self, parser: Any, namespace: argparse.Namespace, *_: Any) -> None:
            namespace.stream, files.required = True, False

    group = parser.add_argument_group(
        "rows as they arrive",
        "Rows are scored together when --max-rows of them are there, or the first has waited --max-delay. A bad row "
        "ends the stream with exit status 2, those before it are answered. End of input, Ctrl-C, or an output that "
        "nobody reads any more end it with exit status 0. On one rank only.",
    )
    group.add_argument(
        "--stream", action=Stream, nargs=0, default=False, help="read rows from standard input until it ends"
    )
    group.add_argument(
        "--stream-format",
        choices=LINE_FORMATS,
        help="csv or tsv with a header line, answered in CSV; or jsonl, a JSON object a line, answered in the same way "
        "(default: by the first line)",
    )
    group.add_argument(
        "--max-delay", metavar="SECONDS", type=float, help=f"how long a row may wait for others (default {MAX_DELAY:g})"
    )
    group.add_argument("--max-rows", metavar="N", type=int, help=f"rows scored together (default {MAX_ROWS})")


def check_stream_options(engine: Engine, options: argparse.Namespace) -> None:
    """Raise DataError for options that do not go with --stream."""
    if engine.size > 1:
        raise data.DataError(
            f"--stream answers on one rank, not on {engine.size}: only one has the standard input. Run it without the "
            "launcher, or several streams side by side"
        )
    for name in ("data", "target", "format", "max_memory", "scatter", "cache", "dates", "output", "report"):
        if getattr(options, name) not in (None, False):
            what = "a file DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise data.DataError(f"{what} does not go with --stream: {_REASONS.get(name, _REASON)}")
    if options.max_delay is not None and not (math.isfinite(options.max_delay) and options.max_delay >= 0):
        raise data.DataError(f"--max-delay must be a number of seconds, 0 or more, not {options.max_delay}")
    if options.max_rows is not None and options.max_rows < 1:
        raise data.DataError(f"--max-rows must be 1 or more, not {options.max_rows}")


def answer_stream(saved: SavedModel, options: argparse.Namespace) -> None:
    """Answer standard input's rows until it ends. Raises DataError at the first bad row, those before it answered."""
    answers = Answers(saved, options.stream_format, _write)
    max_delay = MAX_DELAY if options.max_delay is None else options.max_delay
    with interrupts() as stop:
        for lines in arrivals(sys.stdin.fileno(), stop, max_delay, options.max_rows or MAX_ROWS):
            answers.take(lines)
            if is_lost():
                return


def _write(answer: bytes) -> None:
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


class Answers:
    """Scores lines by a model and hands the answers to `write`, a batch at a time.

    Args:
        saved: the model.
        format: one of LINE_FORMATS, or None to tell it from the first line.
        write: takes the bytes of an answer.
    """

    def __init__(self, saved: SavedModel, format: str | None, write: Callable[[bytes], None]) -> None:
        if saved.pipeline is not None:
            text = {name: Text(np.empty(0, np.int32), ()) for name in saved.pipeline.text}
            numbers = saved.pipeline.numbers
            saved = saved.unscaled(Columns(numbers, np.empty((0, len(numbers))), text))
        self._saved, self._format, self._write = saved, format, write
        self._names = output_columns(saved.result.classes is not None)
        self._parser: LineParser | None = None  # once the first line is there
        self._answered = 0

    def take(self, lines: Sequence[Line]) -> None:
        """Answer `lines`, the first of all perhaps a header. Raises DataError at a bad row, those before answered."""
        if self._parser is None:
            lines = self._begin(lines)
        if not lines:
            return
        try:
            self._answer(lines)
        except data.BadRow as error:
            bad, reason = error.fault.row, error.fault.reason
            if bad:
                self._answer(lines[:bad])
            raise data.DataError(f"{SOURCE}: row {self._answered + 1} (line {lines[bad].number}): {reason}") from None

    def _begin(self, lines: Sequence[Line]) -> Sequence[Line]:
        """Look at the first line; return the rows behind it."""
        first, raw = lines[0].text, self._saved.pipeline
        self._format = self._format or format_of_line(first)
        text = () if raw is None else raw.text
        wanted = Wanted(
            columns=self._saved.columns,
            n_columns=self._saved.n_numbers,
            text=text,
            missing=raw is not None,
            picked=self._saved.picked,
        )
        if self._format == "jsonl":
            self._parser = JsonLines(wanted)
            return lines
        self._parser = DelimitedLines(SOURCE, first, self._format, wanted)
        self._write(",".join(self._names).encode() + b"\n")
        return lines[1:]

    def _answer(self, lines: Sequence[Line]) -> None:
        scores = self._scores([line.text for line in lines])
        self._write(json_lines(scores, self._names) if self._format == "jsonl" else csv_lines(scores))
        self._answered += len(lines)

    def _scores(self, lines: Sequence[bytes]) -> np.ndarray:
        assert self._parser is not None
        block = self._parser.parse(lines)
        X, pipeline = block.X, self._saved.pipeline
        if pipeline is not None:
            text = block.text if isinstance(block, data.Frame) else {}
            try:
                X = pipeline.finish(Columns(pipeline.numbers, X, {name: Text(*cells) for name, cells in text.items()}))
            except RowError as error:
                raise data.BadRow.at(error.row, error.reason) from None
        return predict_rows(X, self._saved.result)
