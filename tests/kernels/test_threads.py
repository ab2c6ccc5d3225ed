"""A kernel by several threads."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi import kernels


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 5000, 300_000])
def test_equal_bits_for_any_number_of_threads(n, sparse):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 5)).astype(np.float32)
    X = scipy.sparse.csr_matrix(X) if sparse else X
    y, coef = (rng.random(n) < 0.5).astype(np.float32), rng.standard_normal(6)
    results = np.zeros((4, 7))
    for threads in (1, 2, 3):
        kernels.in_threads(kernels.logistic, (X, y, None), (coef,), results[threads], threads=threads)
        assert_array_equal(results[threads], results[1])
    kernels.logistic(X, y, None, coef, results[0])
    assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-3)


def test_errors():
    X, y, out = np.ones((10_000, 2)), np.ones(10_000), np.zeros(3)
    y[9000] = 2
    for threads in (1, 2):
        with pytest.raises(ValueError, match=r"y\[9000\] is 2.0; y must be from 0 to 1"):
            kernels.in_threads(kernels.logistic, (X, y, None), (np.ones(2),), out, threads=threads)
    with pytest.raises(ValueError, match="threads is 0"):
        kernels.in_threads(kernels.logistic, (X, y, None), (np.ones(2),), out, threads=0)
    assert not out.any()
