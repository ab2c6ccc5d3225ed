"""Words of text columns weighted by how few rows have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .columns import Columns
from .encode import HashText, beside, check_text, without


@dataclass(frozen=True)
class TfIdf:
    """As `HashText`, each column times its inverse document frequency ``log((1 + rows) / (1 + count)) + 1``.

    rows : rows seen when fitting.  features, counts : for each text column the hashed columns that occurred, and in how
        many rows. Rows have length 1 again in the end. Results are those of scikit-learn's HashingVectorizer and
        TfidfTransformer one behind the other. X becomes CSR.
    """

    columns: tuple[str, ...]
    n_features: int = 1 << 16
    ngrams: int = 1
    rows: int = 0
    features: tuple[tuple[int, ...], ...] = ()
    counts: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        HashText(self.columns, self.n_features, self.ngrams)

    def summary(self, first: Columns) -> DocumentCounts:
        """What learns from the columns that `first`, a block without rows, describes."""
        return DocumentCounts(check_text(first, self.columns))

    def fitted(self, first: Columns, learnt: DocumentCounts) -> TfIdf:
        """This step with the counts."""
        features, counts = [], []
        for found in learnt.counts:
            features.append(tuple(sorted(found)))
            counts.append(tuple(found[feature] for feature in features[-1]))
        return replace(self, rows=learnt.rows, features=tuple(features), counts=tuple(counts))

    def learn(self, columns: Columns, learnt: DocumentCounts) -> None:
        """Take in a block."""
        learnt.rows += columns.X.shape[0]
        for name, found in zip(self.columns, learnt.counts, strict=True):
            features, counts = np.unique(self._hash.hashed(columns.text[name]).indices, return_counts=True)
            for feature, count in zip(features.tolist(), counts.tolist(), strict=True):
                found[feature] = found.get(feature, 0) + count

    def apply(self, columns: Columns) -> Columns:
        """Encode a block: the new columns stand behind those of X."""
        X, names = columns.X, columns.names
        for name, weights in zip(self.columns, self._weights, strict=True):
            new = self._hash.hashed(columns.text[name])
            new.data *= weights[new.indices]
            length = np.sqrt(np.asarray(new.multiply(new).sum(axis=1)).reshape(-1))
            length[length == 0.0] = 1.0
            new.data /= np.repeat(length, np.diff(new.indptr))
            X = beside(X, new)
            names += tuple(f"{name}#{k}" for k in range(self.n_features))
        return Columns(names, X, without(columns, self.columns))

    @cached_property
    def _hash(self) -> HashText:
        return HashText(self.columns, self.n_features, self.ngrams)

    @cached_property
    def _weights(self) -> list[np.ndarray]:
        weights = []
        for features, counts in zip(self.features, self.counts, strict=True):
            found = np.zeros(self.n_features)
            found[list(features)] = counts
            weights.append(np.log((1 + self.rows) / (1 + found)) + 1)
        return weights


class DocumentCounts:
    """For each text column, in how many rows each hashed column occurs."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.rows = 0
        self.counts: list[dict[int, int]] = [{} for _ in columns]

    def merge(self, other: Any) -> None:
        """Take in what other rows gave."""
        self.rows += other.rows
        for mine, others in zip(self.counts, other.counts, strict=True):
            for feature, count in others.items():
                mine[feature] = mine.get(feature, 0) + count
