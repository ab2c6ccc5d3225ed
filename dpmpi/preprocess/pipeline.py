"""A pipeline: transformers one behind the other, as data that can be written as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .columns import Columns, RowError
from .encode import HashText, OneHot, Ordinal
from .numbers import Bin, Clip, Impute, Log, Scale
from .tfidf import TfIdf


class Step(Protocol):
    """A transformer: a frozen dataclass of numbers, texts and tuples of them."""

    def summary(self, first: Columns) -> Any:
        """Start what must be learnt of rows like those of `first`, which has none; None for nothing."""
        ...

    def fitted(self, first: Columns, learnt: Any) -> Step:
        """Return this step with what was learnt."""
        ...

    def apply(self, columns: Columns) -> Columns:
        """Transform a block. Raises RowError."""
        ...


ENCODERS = (OneHot, Ordinal, HashText, TfIdf)  # of text: they add columns, and leave those of X alone
STEPS: dict[str, Any] = {kind.__name__: kind for kind in (Impute, Scale, Log, Clip, Bin, *ENCODERS)}


@dataclass(frozen=True)
class Pipeline:
    """Steps, applied in order; once fitted, they turn blocks of raw columns into the X of a model.

    numbers, text : names of the raw columns, in the order in which a block has them; set by fitting.
    """

    steps: tuple[Step, ...]
    numbers: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def apply(self, columns: Columns) -> Columns:
        """Transform a block. Raises RowError when text or a missing value is left, or a step cannot take a row."""
        for step in self.steps:
            columns = step.apply(columns)
        return columns

    def finish(self, columns: Columns) -> Any:
        """Apply, and return the finite X (n, d), an array or csr_array. Raises RowError as `apply`, or for a gap."""
        done = self.apply(columns)
        if done.text:
            raise ValueError(f"column {next(iter(done.text))!r} is text; encode it or leave it out")
        X = done.X
        values = X.data if hasattr(X, "indptr") else X
        if not np.isfinite(values).all():
            row, column = _first_gap(X)
            raise RowError(row, f"column {done.names[column]!r} is missing or not finite; impute it")
        return X

    def to_json(self) -> str:
        """Everything as JSON text; numbers keep every bit."""
        steps = [{"step": type(step).__name__, **dataclasses.asdict(step)} for step in self.steps]  # type: ignore[call-overload]
        return json.dumps({"steps": steps, "numbers": self.numbers, "text": self.text})

    @classmethod
    def from_json(cls, text: str) -> Pipeline:
        """The pipeline that `to_json` wrote. Raises ValueError for anything else."""
        try:
            found = json.loads(text)
            steps = []
            for fields in found["steps"]:
                kind = STEPS[fields.pop("step")]
                steps.append(kind(**{name: _tuples(value) for name, value in fields.items()}))
            return cls(tuple(steps), tuple(found["numbers"]), tuple(found["text"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no pipeline: {error}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _first_gap(X: Any) -> tuple[int, int]:
    if hasattr(X, "indptr"):
        at = int(np.argmin(np.isfinite(X.data)))
        return int(np.searchsorted(X.indptr, at, "right")) - 1, int(X.indices[at])
    row, column = np.argwhere(~np.isfinite(X))[0]
    return int(row), int(column)


def text_columns(steps: Sequence[Step]) -> tuple[str, ...]:
    """The columns that the steps want to be read as text."""
    return tuple(dict.fromkeys(name for step in steps if isinstance(step, ENCODERS) for name in step.columns))
