"""The choice of algorithms: tables of times, the rule, and what may be chosen where bits depend on it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import dpmpi
from dpmpi.collectives.choose import DOUBLING_BYTES, rule
from dpmpi.collectives.table import Table

SAMPLES = {"a": [(10, 1.0), (20, 3.0)], "native": [(10, 2.0), (20, 2.0)]}


def test_times_between_samples():
    table = Table(SAMPLES, "given")
    assert table.seconds("a", 15) == 2.0
    assert table.seconds("a", 40) == 6.0
    assert table.seconds("b", 40) == float("inf")


def test_the_rule_is_overruled_by_a_margin():
    table = Table(SAMPLES, "given", 1.1)
    assert table.choose(8, ["a", "native"], "native") == "a"
    assert table.choose(20, ["a", "native"], "a") == "native"
    assert Table(SAMPLES, "given", 1.6).choose(20, ["a", "native"], "a") == "a"
    assert table.choose(20, ["a"], "a") == "a"
    assert table.choose(20, ["a", "b"], "b") == "a"  # b was not measured


def test_fitted_cost():
    latency, per_byte = Table({"a": [(0, 1.0), (10, 2.0), (20, 3.0)]}, "given").cost("a")
    assert_allclose([latency, per_byte], [1.0, 0.1])


@pytest.mark.parametrize(
    ("n_bytes", "candidates", "expected"),
    [
        (8, ("node", "ring", "recursive_doubling", "native"), "node"),
        (1 << 30, ("node", "ring", "recursive_doubling", "native"), "node"),
        (8, ("hierarchical", "ring", "recursive_doubling", "native"), "recursive_doubling"),
        (DOUBLING_BYTES + 1, ("hierarchical", "ring", "recursive_doubling", "native"), "hierarchical"),
        (DOUBLING_BYTES + 1, ("ring", "recursive_doubling"), "ring"),
        (DOUBLING_BYTES + 1, ("recursive_doubling",), "recursive_doubling"),
    ],
)
def test_rule(n_bytes, candidates, expected):
    assert rule(n_bytes, candidates) == expected


@pytest.mark.mpi
def test_times_of_this_job_do_not_choose_where_bits_depend_on_it(comm):
    chooser = comm._chooser
    chooser._measured = chooser._saved = None
    chooser._settle()
    quickest = {"native": [(8, 1e-9), (1 << 30, 1e-9)], "node": [(8, 1.0), (1 << 30, 1.0)]}
    if comm.size > 2:
        chooser._measured = Table(quickest, "given")
        chooser._settle()
        with comm.plan_allreduce(10, "f4") as plan:
            assert plan.algorithm != "native"
        with comm.plan_allreduce(10, "f4", order="any") as plan:
            assert plan.algorithm == "native"
    chooser._measured = None
    chooser._settle()


@pytest.mark.mpi
def test_the_fastest_order(comm):
    x = np.arange(10.0) + comm.rank
    expected = 10 * comm.size
    assert comm.allreduce(x, order="any").sum() - 45 * comm.size == expected * (comm.size - 1) / 2
    text = comm.explain(80, order="any")
    assert comm.size == 1 or "measured times" in text
    with pytest.raises(ValueError, match="order must be one of fixed, any, not 'exact'"):
        comm.allreduce(x, order="exact")


@pytest.mark.mpi(min_size=2)
def test_ranks_that_differ_in_order(comm):
    with pytest.raises(dpmpi.MismatchError, match="order=any"):
        comm.allreduce(np.ones(3), order="any" if comm.rank == 0 else "fixed")
