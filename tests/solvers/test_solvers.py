"""The solvers on functions whose minimum is known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dpmpi.solvers import lbfgs, sgd

MATRIX = np.diag([1.0, 10.0, 100.0])
CENTRE = np.array([1.0, -2.0, 3.0])


def quadratic(x):
    gradient = MATRIX @ (x - CENTRE)
    return 0.5 * float((x - CENTRE) @ gradient) + 7.0, gradient


def rosenbrock(x):
    a, b = x
    value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    return value, np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])


def test_lbfgs_finds_the_minimum():
    found = lbfgs(quadratic, np.zeros(3), tol=1e-10, max_iter=100)
    assert found.converged
    assert_allclose(found.x, CENTRE, rtol=1e-8)
    assert_allclose(found.loss, 7.0)
    assert found.history[-1] == found.loss
    assert len(found.history) == found.n_iter


def test_lbfgs_on_rosenbrock():
    found = lbfgs(rosenbrock, np.array([-1.2, 1.0]), tol=1e-9, max_iter=500)
    assert found.converged
    assert_allclose(found.x, 1.0, rtol=1e-6)


def test_lbfgs_says_that_it_did_not_converge():
    found = lbfgs(rosenbrock, np.array([-1.2, 1.0]), tol=1e-12, max_iter=3)
    assert not found.converged
    assert found.n_iter == 3
    assert "max_iter 3 reached" in found.message


def test_lbfgs_started_at_the_minimum():
    found = lbfgs(quadratic, CENTRE, tol=1e-8, max_iter=10)
    assert found.converged
    assert found.n_iter == 0


def test_lbfgs_stops_where_rounding_hides_the_slope():
    noisy = lambda x: (quadratic(x)[0] + 1e6, quadratic(x)[1])  # noqa: E731
    found = lbfgs(noisy, np.zeros(3), tol=0.0, max_iter=1000)
    assert found.n_iter < 1000
    assert_allclose(found.x, CENTRE, atol=1e-3)


def test_the_callback_sees_every_iteration():
    seen = []
    found = lbfgs(quadratic, np.zeros(3), tol=1e-8, max_iter=50, callback=lambda n, loss: seen.append((n, loss)))
    assert seen == list(enumerate(found.history, 1))


def run_sgd(**kwargs):
    settings = {"n_batches": 4, "learning_rate": 0.005, "momentum": 0.9, "tol": 1e-9, "max_iter": 500} | kwargs
    return sgd(quadratic, lambda epoch, batch, x: quadratic(x)[1], np.zeros(3), **settings)


def test_sgd_finds_the_minimum():
    found = run_sgd()
    assert found.converged
    assert_allclose(found.x, CENTRE, atol=1e-3)
    assert len(found.history) == found.n_iter


def test_sgd_takes_heavy_ball_steps():
    found = run_sgd(n_batches=2, momentum=0.5, learning_rate=0.001, max_iter=1)
    x, velocity = np.zeros(3), np.zeros(3)
    for _ in range(2):
        velocity = 0.5 * velocity - 0.001 * quadratic(x)[1]
        x = x + velocity
    assert_allclose(found.x, x)
    assert not found.converged


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_sgd_says_when_it_diverges():
    with pytest.raises(ValueError, match="lower learning_rate"):
        run_sgd(learning_rate=1e9, max_iter=100, n_batches=50)
