"""Kernels that Numba makes of a user's scalar loss."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi import kernels


def logistic(y, z):
    """Logistic loss, as a user writes it."""
    e = math.exp(-abs(z))
    p = 1 / (1 + e) if z > 0 else e / (1 + e)
    return max(z, 0.0) + math.log1p(e) - y * z, p - y


def problem(dtype, sparse=False):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 9)).astype(dtype)
    X = scipy.sparse.csr_matrix(X * (rng.random(X.shape) < 0.3)) if sparse else X
    return X, (rng.random(500) < 0.5).astype(dtype), rng.random(500).astype(dtype), rng.standard_normal(10)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_as_the_built_in_loss(dtype, sparse):
    kernel = kernels.loss(logistic)
    X, y, weight, coef = problem(dtype, sparse)
    for w in (None, weight):
        got, expected = np.ones((2, 11))
        kernel(X, y, w, coef, got)
        kernels.logistic(X, y, w, coef, expected)
        assert_allclose(
            got, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-4 if dtype == "float32" else 0
        )


def test_bad_arguments_leave_out_alone():
    kernel = kernels.loss(logistic)
    X, y, weight, coef = problem("float64")
    out = np.zeros(11)
    for arguments in [
        (X, y[1:], weight, coef),
        (X, y, -weight, coef),
        (X, y * np.nan, weight, coef),
        (X[0], y, weight, coef),
    ]:
        with pytest.raises(ValueError, match=r"must be|has shape"):
            kernel(*arguments, out)
    assert not out.any()


def test_bad_functions():
    X, y, weight, coef = problem("float64")
    with pytest.raises(TypeError, match="fn is 3"):
        kernels.loss(3)
    for fn in (lambda y, z: z - y, lambda y: (y, y), lambda y, z: ({}, z)):
        with pytest.raises(TypeError, match="fn must be a function"):
            kernels.loss(fn)(X, y, weight, coef, np.zeros(11))


PROGRAM = """
import sys, numpy as np, numba
from dpmpi import kernels
from losses import absolute
out = np.zeros(3)
kernel = kernels.loss(absolute)
compiled = []
original = kernels.custom._compile
kernels.custom._compile = lambda *a: compiled.append(original(*a)) or compiled[0]
kernel(np.ones((4, 2)), np.zeros(4), None, np.ones(2), out)
print(out.tolist(), compiled[0].cache_hits)
"""


def test_other_processes_find_it_in_the_cache(tmp_path):
    (tmp_path / "losses.py").write_text("def absolute(y, z):\n    return abs(z - y), 1.0 if z > y else -1.0\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    runs = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = sorted(run.communicate()[0].strip() for run in runs)
    assert_array_equal(outputs, ["[8.0, 4.0, 4.0] 0", "[8.0, 4.0, 4.0] 1"])
    (tmp_path / "losses.py").write_text("def absolute(y, z):\n    return abs(z - y), 2.0 if z > y else -2.0\n")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert run.stdout.strip() == "[8.0, 8.0, 8.0] 0"
