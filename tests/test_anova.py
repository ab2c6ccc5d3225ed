"""NIST's hard cases of the one-way analysis of variance, from rows that are spread over the ranks."""

import numpy as np
import pytest

from dpmpi import kernels
from dpmpi.kernels import statistics


@pytest.mark.mpi
@pytest.mark.parametrize(("name", "digits"), [("SmLs06.dat", 9), ("SmLs09.dat", 3)])
def test_certified_f(name, digits, engine, shared_data):
    """StRD (Simon and Lesage 1989): 9 treatments of 2001 values each to 7 and 13 constant digits; F = 2001 exactly."""
    path = shared_data(name)
    keys = values = None
    if engine.rank == 0:
        table = np.loadtxt(path, skiprows=60)
        keys, values = table[:, 0].astype(int) - 1, table[:, 1]
    rows = engine.scatter(keys, values)
    count, total, _ = engine.reduce(kernels.group_moments, rows, np.zeros(9), out=np.zeros((3, 9)))
    assert count.tolist() == [2001] * 9
    sums = engine.reduce(kernels.group_moments, rows, np.full(9, total.sum() / count.sum()), out=np.zeros((3, 9)))
    assert abs(statistics.one_way_anova(sums) / 2001 - 1) < 10.0**-digits
