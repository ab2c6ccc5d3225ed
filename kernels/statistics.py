"""What the batch kernels' sums mean: means, variances and the like, once the sums are merged. NumPy on small arrays."""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np

from .arguments import one_dimensional
from .keys import has_bytes, numbers_in, numbers_of_distinct


class Statistics(NamedTuple):
    """Statistics of each column; `variance` has `ddof` degrees of freedom taken off, `kurtosis` is in excess of 3."""

    rows: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    skewness: np.ndarray
    kurtosis: np.ndarray


def move(sums: np.ndarray, shift: np.ndarray, to: np.ndarray) -> np.ndarray:
    """The power sums (orders, d) about `shift` as power sums about `to`, by the binomial theorem."""
    by = np.asarray(shift, float) - np.asarray(to, float)
    return np.array([sum(comb(k, i) * by ** (k - i) * sums[i] for i in range(k + 1)) for k in range(len(sums))])


def describe(sums: np.ndarray, shift: np.ndarray, ddof: int = 0) -> Statistics:
    """Statistics from the sums that `moments` adds up, about the same shift; NaN where there are too few rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        count = sums[0]
        mean = shift + sums[1] / count
        m2, m3, m4 = move(sums, shift, mean)[2:] / count
        return Statistics(count, mean, m2 * count / (count - ddof), m3 / m2**1.5, m4 / m2**2 - 3)


def mean_variance(sums: np.ndarray, shift: np.ndarray, ddof: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances from the sums of orders 0, 1 and 2 about shift; NaN where there are too few rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums[1] / sums[0]
        return shift + mean, (sums[2] - sums[1] * mean) / (sums[0] - ddof)


def covariance_matrix(sums: np.ndarray, shift: np.ndarray, ddof: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance matrix (d, d) from the sums of the kernel `covariance` about shift."""
    d = len(shift)
    count, first, products = sums[0], sums[1 : d + 1], sums[d + 1 :].reshape(d, d)
    return shift + first / count, (products - np.outer(first, first) / count) / (count - ddof)


def one_way_anova(sums: np.ndarray) -> float:
    """F of the one-way analysis of variance from the sums of `group_moments` about one shift for all groups."""
    groups = sums[:, sums[0] > 0]
    n, k = groups[0].sum(), groups.shape[1]
    within = np.sum(groups[2] - groups[1] ** 2 / groups[0])
    means = groups[1] / groups[0]
    between = np.sum(groups[0] * (means - groups[1].sum() / n) ** 2)
    return float(between / (k - 1) / (within / (n - k)))


def codes(keys: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """The number of each key (n,) in `categories` (K,), int64, for the group kernels.

    Strings, bytes, objects that hash, integers and dates are found in a hash table; others, or keys of another kind
    than the categories, by binary search, for which the categories must be sorted. Of equal categories the first is
    taken. Raises ValueError that names the first key which is not among them.
    """
    keys, categories = one_dimensional(keys, "keys"), one_dimensional(categories, "categories")
    dtype = np.result_type(keys, categories) if keys.dtype.kind == categories.dtype.kind else None
    if dtype is not None and (has_bytes(dtype) or dtype.kind == "O"):
        numbers, missing = numbers_in(keys.astype(dtype, copy=False), categories.astype(dtype, copy=False))
    else:
        numbers = np.searchsorted(categories, keys)
        known = (
            categories[np.minimum(numbers, len(categories) - 1)] == keys if len(categories) else np.zeros(keys.shape)
        )
        missing = -1 if np.all(known) else int(np.argmin(known))
    if missing >= 0:
        raise ValueError(f"keys holds {keys[missing]!r}, which is not among the {len(categories)} categories")
    return numbers


def distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of keys (n,), sorted, and the number of each key among them, int64 (n,).

    As ``np.unique(keys, return_inverse=True)``, but strings, integers and dates are found in a hash table, so that only
    the distinct ones are sorted.
    """
    keys = one_dimensional(keys, "keys")
    if not has_bytes(keys.dtype):
        return np.unique(keys, return_inverse=True)
    rows, numbers = numbers_of_distinct(keys)
    order = np.argsort(keys[rows], kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return keys[rows[order]], place[numbers]
