"""Transformers of text columns to numbers: one-hot, ordinal, hashing of words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .columns import Columns, RowError, Text
from .murmur import murmur3
from .summaries import Counts

# Up to so many new columns X stays dense.
DENSE_COLUMNS = 256
_WORD = re.compile(r"\b\w\w+\b")


@dataclass(frozen=True)
class OneHot:
    """For each text of a column a new column that is 1 where the row has it, else 0; in the order of the texts.

    Missing texts are a category of their own, named "". `unseen`: "error", or "ignore" for zeros everywhere, when a
    text comes that was not there when fitting.
    """

    columns: tuple[str, ...]
    unseen: str = "error"
    categories: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        _check_unseen(self.unseen)

    def summary(self, first: Columns) -> Counts:
        """What learns from the columns that `first`, a block without rows, describes."""
        return Counts(check_text(first, self.columns))

    def fitted(self, first: Columns, learnt: Counts) -> OneHot:
        """This encoding with its categories."""
        return replace(self, categories=_categories(learnt, self.columns))

    def learn(self, columns: Columns, learnt: Counts) -> None:
        """Take in a block."""
        learnt.add(columns.text)

    def apply(self, columns: Columns) -> Columns:
        """Encode a block: the new columns stand behind those of X, which becomes CSR where they are many."""
        names = columns.names
        rows: list[np.ndarray] = []
        places: list[np.ndarray] = []
        width = 0
        for name, known in zip(self.columns, self.categories, strict=True):
            codes = _codes(columns, name, known, self.unseen)
            row = np.flatnonzero(codes >= 0)
            rows.append(row)
            places.append(codes[row] + width)
            width += len(known)
            names += tuple(f"{name}={value}" for value in known)
        new = _ones(np.concatenate(rows), np.concatenate(places), (columns.X.shape[0], width))
        return Columns(names, beside(columns.X, new), without(columns, self.columns))


@dataclass(frozen=True)
class Ordinal:
    """The number of each text among the column's texts in order; NaN where missing. The result is a column of X."""

    columns: tuple[str, ...]
    unseen: str = "error"
    categories: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        _check_unseen(self.unseen)

    def summary(self, first: Columns) -> Counts:
        """What learns from the columns that `first`, a block without rows, describes."""
        return Counts(check_text(first, self.columns))

    def fitted(self, first: Columns, learnt: Counts) -> Ordinal:
        """This encoding with its categories."""
        known = tuple(tuple(value for value in values if value) for values in _categories(learnt, self.columns))
        return replace(self, categories=known)

    def learn(self, columns: Columns, learnt: Counts) -> None:
        """Take in a block."""
        learnt.add(columns.text)

    def apply(self, columns: Columns) -> Columns:
        """Encode a block: the new columns stand behind those of X; an ignored text becomes NaN."""
        new = np.empty((columns.X.shape[0], len(self.columns)))
        for j, (name, known) in enumerate(zip(self.columns, self.categories, strict=True)):
            codes = _codes(columns, name, ("", *known), self.unseen)
            new[:, j] = np.where(codes > 0, codes - 1, np.nan)
        return Columns(columns.names + self.columns, beside(columns.X, new), without(columns, self.columns))


@dataclass(frozen=True)
class HashText:
    """Words, and runs of up to `ngrams` words, counted in columns that a hash of the word picks; rows of length 1.

    Nothing is to be learnt, and no text is unseen. The columns are those of scikit-learn's HashingVectorizer: lower
    case, words of two characters or more, MurmurHash3 with its sign. X becomes CSR.
    """

    columns: tuple[str, ...]
    n_features: int = 1 << 16
    ngrams: int = 1

    def __post_init__(self) -> None:
        if self.n_features < 1 or self.ngrams < 1:
            raise ValueError(f"hashing needs n_features and ngrams of 1 or more, not {self.n_features}, {self.ngrams}")

    def summary(self, first: Columns) -> None:
        """Nothing is to be learnt."""
        check_text(first, self.columns)

    def fitted(self, first: Columns, learnt: None) -> HashText:
        """This."""
        return self

    def apply(self, columns: Columns) -> Columns:
        """Encode a block: the new columns stand behind those of X."""
        X, names = columns.X, columns.names
        for name in self.columns:
            X = beside(X, self.hashed(columns.text[name]))
            names += tuple(f"{name}#{k}" for k in range(self.n_features))
        return Columns(names, X, without(columns, self.columns))

    def hashed(self, text: Text) -> Any:
        """The words of one column of a block as a csr_array (n, n_features)."""
        from scipy import sparse

        indptr, indices, values = [0], [], []
        for value in ("", *text.values):
            entries = self._row(value)
            indices += sorted(entries)
            values += [entries[k] for k in sorted(entries)]
            indptr.append(len(indices))
        shape = (len(text.values) + 1, self.n_features)
        return sparse.csr_array((np.array(values, np.float64), np.array(indices, np.int32), indptr), shape)[
            text.codes + 1
        ]

    def _row(self, value: str) -> dict[int, float]:
        words = _WORD.findall(value.lower())
        terms = Counter(
            " ".join(words[k : k + n]) for n in range(1, self.ngrams + 1) for k in range(len(words) - n + 1)
        )
        entries: dict[int, float] = {}
        for term, count in terms.items():
            hashed = murmur3(term.encode())
            column = abs(hashed) % self.n_features
            entries[column] = entries.get(column, 0.0) + (count if hashed >= 0 else -count)
        # Words of opposite sign may cancel: the entry stays, as 0, and counts as one that the row has.
        length = sum(entry**2 for entry in entries.values()) ** 0.5 or 1.0
        return {column: entry / length for column, entry in entries.items()}


def _check_unseen(unseen: str) -> None:
    if unseen not in ("error", "ignore"):
        raise ValueError(f"unseen must be 'error' or 'ignore', not {unseen!r}")


def check_text(first: Columns, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return `columns`, the names of text columns. Raises ValueError for one that was not read as text."""
    for name in columns:
        if name not in first.text:
            raise ValueError(f"column {name!r} is no text, or another step encodes it already")
    return columns


def _categories(learnt: Counts, columns: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sorted(learnt.columns[name])) for name in columns)


def _codes(columns: Columns, name: str, known: tuple[str, ...], unseen: str) -> np.ndarray:
    """The number of each row's text among `known`, -1 where it is not. Raises RowError where that is an error."""
    codes, values = columns.text[name]
    number = {value: k for k, value in enumerate(known)}
    found = np.array([number.get(value, -1) for value in ("", *values)])[codes + 1]
    if unseen == "error" and (found < 0).any():
        row = int(np.argmax(found < 0))
        value = repr(values[codes[row]]) if codes[row] >= 0 else "empty"
        raise RowError(
            row, f"column {name!r} is {value}, which no row had when the model was fitted; fit with unseen 'ignore'"
        )
    return found


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Any:
    """A matrix with ones at these places, dense or, where it is wide, CSR."""
    if shape[1] <= DENSE_COLUMNS:
        dense = np.zeros(shape)
        dense[rows, columns] = 1.0
        return dense
    from scipy import sparse

    return sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape).tocsr()


def beside(X: Any, new: Any) -> Any:
    """The columns of both, dense if both are, else CSR."""
    if isinstance(X, np.ndarray) and isinstance(new, np.ndarray):
        return np.hstack([X, new])
    from scipy import sparse

    return sparse.hstack([sparse.csr_array(X), sparse.csr_array(new)], format="csr")


def without(columns: Columns, names: tuple[str, ...]) -> dict[str, Text]:
    """The text columns but those of `names`."""
    return {name: text for name, text in columns.text.items() if name not in names}
