"""Which columns of a table become X, y and sample_weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .errors import DataError, suggest

Column = str | int


class Picked(NamedTuple):
    """Which columns of rows without names became X: their `numbers`, in this order, of the `of` that the rows had."""

    numbers: tuple[int, ...]
    of: int

    def among(self, path: str, n_columns: int) -> tuple[int, ...] | None:
        """The same columns in other rows of `n_columns`; None for all as they come. DataError where none can tell."""
        if n_columns == self.of:
            return None if self.numbers == tuple(range(n_columns)) else self.numbers
        ordered = list(self.numbers) == sorted(self.numbers)
        if ordered and n_columns == len(self.numbers):
            return None
        raise DataError(
            f"{path}: {n_columns} columns, but the model was fitted on {len(self.numbers)} of {self.of}, given by "
            f"number; give rows of all {self.of}{f', or of only those {len(self.numbers)}' * ordered}"
        )


class Wanted(NamedTuple):
    """What the caller of `open` asks for, in his words: names, or numbers from 0 where -1 is the last."""

    target: Column | None = None
    columns: Sequence[Column] | None = None
    weight: Column | None = None
    target_required: bool = True
    n_columns: int | None = None
    text: Sequence[str] = ()
    missing: bool = False
    dates: Sequence[str] = ()
    picked: Picked | None = None  # in place of columns


class Choice(NamedTuple):
    """Column numbers from 0; `features` are X's, those of `text` stand beside it."""

    features: tuple[int, ...]
    target: int | None
    weight: int | None
    text: tuple[int, ...] = ()
    missing: bool = False  # whether a number of X may be missing
    dates: frozenset[int] = frozenset()  # those of the above that hold dates


def choose(path: str, wanted: Wanted, n_columns: int, names: Sequence[str] | None) -> Choice:
    """Which of the table's `n_columns` columns are wanted; `names` is None where they have none.

    A target that is not required is left out when it is not there, or when X needs every column there is.

    Raises DataError for an unknown column, one that is asked for twice, when none is left for X, or as `Picked.among`.
    """
    if wanted.picked is not None:
        wanted = wanted._replace(columns=wanted.picked.among(path, n_columns))
    if wanted.columns is None and n_columns == wanted.n_columns and not wanted.target_required:
        dates = frozenset(find_column(path, n_columns, names, column) for column in wanted.dates)
        return Choice(tuple(range(n_columns)), None, None, (), wanted.missing, dates)
    weight = None if wanted.weight is None else find_column(path, n_columns, names, wanted.weight)
    target = None
    if wanted.target is not None:
        try:
            target = find_column(path, n_columns, names, wanted.target)
        except DataError:
            if wanted.target_required:
                raise
    if wanted.columns is None:
        features = [column for column in range(n_columns) if column not in (target, weight)]
    else:
        features = [find_column(path, n_columns, names, column) for column in wanted.columns]
    dates = frozenset(find_column(path, n_columns, names, column) for column in wanted.dates)
    text = tuple(find_column(path, n_columns, names, column) for column in wanted.text)
    text = tuple(column for column in text if column not in dates)
    features = [column for column in features if column not in text]
    chosen = [*features, *text] + [column for column in (target, weight) if column is not None]
    twice = [column for column, count in Counter(chosen).items() if count > 1]
    if twice:
        label = repr(names[twice[0]]) if names else str(twice[0])
        raise DataError(f"{path}: column {label} is asked for twice among columns, text, target and weight")
    if not features and not text:
        raise DataError(f"{path}: no column is left for X")
    return Choice(tuple(features), target, weight, text, wanted.missing, dates)


def check_sparse(path: str, wanted: Wanted, n_columns: int) -> None:
    """Raise DataError unless all of the `n_columns` columns of a sparse X are wanted as they come."""
    columns = wanted.columns if wanted.picked is None else wanted.picked.among(path, n_columns)
    if columns is not None:
        raise DataError(f"{path}: X is sparse: its columns cannot be chosen; leave columns out")


def find_column(path: str, n_columns: int, names: Sequence[str] | None, column: Column) -> int:
    """The number of a column given by name, or by number as int or text (a command line has only text)."""
    if names is not None and column in names:
        return names.index(str(column))
    try:
        number = int(column)
    except ValueError:
        if names is None:
            raise DataError(
                f"{path}: an array has no column names, so {column!r} cannot be found; give its number (-1: the last)"
            ) from None
        raise DataError(f"{path}: no column {column!r}{suggest(str(column), names)}") from None
    if not n_columns:
        raise DataError(f"{path}: there are no columns")
    if not -n_columns <= number < n_columns:
        raise DataError(f"{path}: no column number {number}; the columns are 0 to {n_columns - 1} (-1: the last)")
    return number % n_columns
