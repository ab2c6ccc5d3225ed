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
    for fn in (3, math.exp):
        with pytest.raises(TypeError, match="fn is"):
            kernels.loss(fn)
    for fn in (lambda y, z: z - y, lambda y: (y, y), lambda y, z: ({}, z)):
        with pytest.raises(TypeError, match="fn must be a function"):
            kernels.loss(fn)(X, y, weight, coef, np.zeros(11))


def test_fast_functions():
    from dpmpi.kernels import custom_math

    tiny, eps = np.finfo(float).smallest_subnormal, np.finfo(float).eps
    special = [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        -1.0,
        -2.0,
        1.0,
        tiny,
        2.0**-1022,
        1e-300,
        1e300,
        710.0,
        709.7,
        -708.0,
    ]
    near = np.concatenate([np.linspace(-1, 1, 20_001), 1 + np.linspace(-1e-9, 1e-9, 101), 2.0 ** np.arange(-60, 60.0)])
    for name, x in [
        ("exp", np.concatenate([np.linspace(-707, 709, 20_001), near, special])),
        ("log", np.concatenate([np.logspace(-320, 308, 20_001), near, special])),
        ("log1p", np.concatenate([np.logspace(-320, 308, 20_001), near, -np.logspace(-20, 0, 20_001), special])),
    ]:
        fast = getattr(custom_math, name)
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(x)
        assert_allclose([fast(value) for value in x], expected, rtol=2 * eps, atol=2.0**-1020)


def from_closures():
    """A loss that finds exp by every road."""
    from math import exp

    def deviance(y, z):
        return exp(z) + np.exp(0 * z) - math.exp(0.0) - y * z, np.exp(z) - y

    return deviance


def test_functions_of_closures_and_numpy():
    X, y, weight, coef = problem("float64")
    got, expected = np.zeros((2, 11))
    kernels.loss(from_closures())(X, y, weight, coef, got)
    kernels.poisson(X, y, weight, coef, expected)
    assert_allclose(got, expected, rtol=1e-12)


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
    (tmp_path / "losses.py").write_text(
        "import math\n\ndef absolute(y, z):\n    return abs(z - y), math.exp(0) if z > y else -1.0\n"
    )
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
