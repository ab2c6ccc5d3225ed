"""The groups of a block are those of its rows' texts."""

import numpy as np
from numpy.testing import assert_allclose

from dpmpi.preprocess import Groups, Text


def test_as_many_groups_as_rows_by_several_columns():
    # The product of the columns' counts is above 2^63: numbering the groups by it would wrap around.
    rng = np.random.default_rng(0)
    n, names = 20_000, tuple("abcde")
    cells = rng.integers(0, 10_000, (n, len(names)))
    text = {}
    for name, column in zip(names, cells.T, strict=True):
        values, codes = np.unique(column, return_inverse=True)
        text[name] = Text(codes.astype(np.int32), tuple(map(str, values.tolist())))
    groups = Groups(names, 1)
    groups.add(np.arange(n, dtype=float)[:, None], text)
    rows = [tuple(map(str, row)) for row in cells.tolist()]
    assert len(groups.number) == len(set(rows)) == n
    assert [groups.number[row] for row in rows] == groups.get("sum")[:, 0].argsort().tolist()


def test_missing_texts_are_a_group():
    groups = Groups(("a", "b"), 1)
    a, b = Text(np.array([0, -1, 0, -1], np.int32), ("x",)), Text(np.array([1, -1, 1, 0], np.int32), ("u", "v"))
    groups.add(np.array([[1.0], [2.0], [4.0], [8.0]]), {"a": a, "b": b})
    assert {key: groups.get("sum")[k, 0] for key, k in groups.number.items()} == {
        ("x", "v"): 5.0, ("", ""): 2.0, ("", "u"): 8.0
    }  # fmt: skip


def test_groups_far_from_zero_keep_their_spread():
    rng = np.random.default_rng(0)
    X = rng.normal(1e9, 1, (3000, 1))
    X[::7] = np.nan
    codes = rng.integers(0, 3, len(X)).astype(np.int32)
    groups = Groups(("a",), 1)
    for low in range(0, len(X), 100):
        groups.add(X[low : low + 100], {"a": Text(codes[low : low + 100], ("x", "y", "z"))})
    for key, k in groups.number.items():
        there = X[codes == "xyz".index(key[0]), 0] - 1e9
        there = there[~np.isnan(there)]
        assert_allclose(groups.get("std")[k, 0], there.std(ddof=1), rtol=1e-12)
        assert_allclose(groups.get("mean")[k, 0], 1e9 + there.mean(), rtol=1e-15)
