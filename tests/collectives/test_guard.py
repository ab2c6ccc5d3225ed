"""The ranks agree before data moves; a disagreement raises on all of them and touches nothing."""

import numpy as np
import pytest
from mpi4py import MPI
from numpy.testing import assert_array_equal

import dpmpi
from dpmpi.collectives.guard import ranges

pytestmark = pytest.mark.mpi

several = pytest.mark.mpi(min_size=2)


MISMATCHES = pytest.mark.parametrize(
    ("usual", "odd", "told"),
    [
        (lambda c, a: c.allreduce(a[:1000]), lambda c, a: c.allreduce(a[:2000]), "2000 float64"),
        (lambda c, a: c.allreduce(a[:1]), lambda c, a: c.allreduce(a[:2]), "2 float64"),
        (lambda c, a: c.allreduce(a[:10]), lambda c, a: c.allreduce(a[:10], "max"), "op=max"),
        (lambda c, a: c.allreduce(a[:10]), lambda c, a: c.allreduce(a[:10].view(np.int64)), "10 int64"),
        (lambda c, a: c.allreduce(a[:10]), lambda c, a: c.allgather(a[:10]), "allgather"),
        (lambda c, a: c.reduce_scatter(a[:10]), lambda c, a: c.reduce_scatter(a[:9]), r"reduce_scatter of \(9,\)"),
        (lambda c, a: c.allgather(a[:10]), lambda c, a: c.allgather(a[:10].reshape(5, 2)), r"shape \(2,\)"),
        (lambda c, a: c.allreduce(a[:10]), lambda c, a: c.scatter(a[:10]), "scatter from root 0"),
        (lambda c, a: c.scatter(a), lambda c, a: c.scatter(a, root=1), "scatter from root 1"),
    ],
)


@several
@MISMATCHES
def test_a_mismatch_raises_on_every_rank(comm, usual, odd, told):
    memory = np.full(4000, 7.0)
    call = odd if comm.rank == comm.size - 1 else usual
    with pytest.raises(dpmpi.MismatchError, match=told) as raised:
        call(comm, memory)
    assert f"rank {comm.size - 1}: " in str(raised.value)
    assert len(set(comm.share(str(raised.value)))) == 1
    assert_array_equal(memory, 7.0)
    assert comm.allreduce(np.ones(1)) == comm.size


@pytest.fixture(scope="module", params=[1, 2, 3])
def nodes(request):
    if request.param >= MPI.COMM_WORLD.size:
        pytest.skip("all ranks on one node")
    with dpmpi.Communicator(ranks_per_node=request.param) as communicator:
        yield communicator


@several
@MISMATCHES
def test_a_mismatch_between_nodes(nodes, usual, odd, told):
    memory = np.full(4000, 7.0)
    for culprit in range(nodes.size):  # first ranks of their nodes, and others; before and when a plan is kept
        with pytest.raises(dpmpi.MismatchError, match=told):
            (odd if nodes.rank == culprit else usual)(nodes, memory)
        assert_array_equal(memory, 7.0)
        for call in (usual, odd):
            call(nodes, np.zeros(4000))
        values = np.arange(5.0) + nodes.rank
        assert_array_equal(nodes.allreduce(values), nodes.size * (np.arange(5.0) + (nodes.size - 1) / 2))


@several
def test_a_bad_argument_between_nodes(nodes):
    for _ in range(2):
        nodes.allreduce(np.ones(3))
        with pytest.raises(TypeError, match="only NumPy arrays"):
            nodes.allreduce([1] if nodes.rank == nodes.size - 1 else np.ones(3))


@several
def test_kept_plans_take_any_layout(nodes):
    for array in (np.ones(6), np.ones((2, 3)), np.ones((4, 6))[::2, ::2], np.ones(6, ">f8"), np.ones((3, 2)).T):
        for factor in (1, 2):
            array[...] = factor * (nodes.rank + 1)
            assert nodes.allreduce(array) is array
            assert (array == factor * nodes.size * (nodes.size + 1) / 2).all()
    fixed = np.ones(6)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        nodes.allreduce(fixed)
    with pytest.raises(TypeError, match="mask"):
        nodes.allreduce(np.ma.ones(6))


def test_together_raises_everywhere(comm):
    last = comm.size - 1
    with pytest.raises(ZeroDivisionError) as raised, comm.together("dividing"):
        1 / (comm.rank != last)
    assert comm.rank == last or str(raised.value) == f"rank {last}: division by zero"
    with comm.together("nothing"):
        pass


@several
def test_together_compares_tasks(comm):
    with pytest.raises(dpmpi.MismatchError, match="rank 0: one"), comm.together("two" if comm.rank else "one"):
        pass


class LocalError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def test_an_error_that_cannot_be_rebuilt_elsewhere(comm):
    def work():
        if comm.rank == 0:
            raise LocalError("bad", "luck")

    with pytest.raises((LocalError, RuntimeError), match="bad luck"), comm.together():
        work()


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [([2], "rank 2"), ([0, 1, 2, 5], "ranks 0-2, 5"), ([3, 1], "ranks 1, 3"), ([0, 1], "ranks 0-1")],
)
def test_ranges(ranks, expected):
    assert ranges(ranks) == expected
