"""Plans of reduce-scatter, all-gather, broadcast and all-to-all, by each algorithm, against NumPy."""

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import dpmpi
from dpmpi.collectives import row_algorithms
from dpmpi.partition import block

pytestmark = pytest.mark.mpi

several = pytest.mark.mpi(min_size=2)
DTYPES = ["?", "i2", "f2", "f4", "f8", "c16", "g"]


@pytest.fixture(params=["auto", "messages"])
def by(request):
    """Which algorithm to take, given what the messages of a collective are called."""
    return lambda messages: messages if request.param == "messages" else "auto"


def values(rank, shape, dtype):
    rng = np.random.default_rng(rank)
    return rng.integers(0, 5, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (1000, 3), (40_000,)])
def test_reduce_scatter(comm, by, shape, dtype):
    everyone = [values(rank, shape, dtype) for rank in range(comm.size)]
    start, stop = block(shape[0], comm.size, comm.rank)
    expected = np.sum(everyone, axis=0, dtype=dtype)[start:stop]
    with comm.plan_reduce_scatter(shape, dtype, algorithm=by("ring")) as plan:
        for _ in range(2):
            plan.buffer[...] = everyone[comm.rank]
            plan.run()
            assert plan.out.dtype == np.dtype(dtype)
            assert_array_equal(plan.out, expected)
            assert_array_equal(plan.buffer, everyone[comm.rank])


def test_reduce_scatter_has_the_bits_of_allreduce(comm):
    x = np.random.default_rng(comm.rank).standard_normal((999, 2)).astype("f4")
    start, stop = block(len(x), comm.size, comm.rank)
    with comm.plan_reduce_scatter(x.shape, x.dtype, "mean", buffer=x) as plan:
        plan.run()
        total = comm.plan_allreduce(x.shape, x.dtype, "mean", algorithm="node" if plan.algorithm == "node" else "ring")
        total.buffer[...] = x
        total.run()
        if comm.size == 1 or plan.algorithm == "node":
            assert_array_equal(plan.out, total.buffer[start:stop])
        total.close()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", [(), (3,), (0,)])
def test_allgather(comm, by, row, dtype):
    counts = [(5 * rank) % 7 for rank in range(comm.size)]
    everyone = [values(rank, (counts[rank], *row), dtype) for rank in range(comm.size)]
    with comm.plan_allgather((counts[comm.rank], *row), dtype, algorithm=by("ring")) as plan:
        for _ in range(2):
            plan.buffer[...] = everyone[comm.rank]
            plan.run()
            assert_array_equal(plan.out, np.concatenate(everyone))


@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast(comm, by, dtype):
    root = comm.size - 1
    wanted = values(root, (1000, 2), dtype)
    with comm.plan_broadcast(wanted.shape, dtype, root, algorithm=by("native")) as plan:
        for _ in range(2):
            plan.buffer[...] = wanted if comm.rank == root else 0
            plan.run()
            assert_array_equal(plan.buffer, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", [(), (3,)])
def test_alltoall(comm, by, row, dtype):
    counts = [[(source + 2 * dest) % 5 for dest in range(comm.size)] for source in range(comm.size)]
    sent = [[values(10 * s + d, (counts[s][d], *row), dtype) for d in range(comm.size)] for s in range(comm.size)]
    with comm.plan_alltoall(counts[comm.rank], row, dtype, algorithm=by("pairwise")) as plan:
        for _ in range(2):
            for part, array in zip(plan.parts, sent[comm.rank], strict=True):
                part[...] = array
            plan.run()
            for source in range(comm.size):
                assert_array_equal(plan.received[source], sent[source][comm.rank])


@pytest.mark.parametrize("dtype", ["f4", ">f8", "f2"])
def test_arrays_of_the_user_with_guard_words(comm, by, dtype):
    n = 30
    start, stop = block(n, comm.size, comm.rank)
    memory, result = np.full(2 * n + 4, 77, dtype), np.full(stop - start + 4, 77, dtype)
    buffer, out = memory[2:-2:2], result[2:-2]
    with comm.plan_reduce_scatter((n,), dtype, algorithm=by("ring"), buffer=buffer, out=out) as plan:
        buffer[:] = np.arange(n)
        plan.run()
    assert_array_equal(out, comm.size * np.arange(n)[start:stop])
    assert_array_equal(memory[3:-2:2], 77)
    assert_array_equal(result[[0, 1, -2, -1]], 77)
    everything = np.full(n * comm.size + 4, 77, dtype)
    with comm.plan_allgather(n, dtype, algorithm=by("ring"), buffer=buffer, out=everything[2:-2]) as plan:
        buffer[:] = comm.rank
        plan.run()
    assert_array_equal(everything[2:-2], np.repeat(np.arange(comm.size), n))
    assert_array_equal(everything[[0, 1, -2, -1]], 77)
    with comm.plan_broadcast((n,), dtype, algorithm=by("native"), buffer=buffer) as plan:
        buffer[:] = 5 + comm.rank
        plan.run()
    assert_array_equal(buffer, 5)
    assert_array_equal(memory[3:-2:2], 77)


def test_start_and_wait(comm, by):
    with (
        comm.plan_allgather(2, "f8", algorithm=by("ring")) as gathered,
        comm.plan_broadcast(2, "f8", algorithm=by("native")) as sent,
        comm.plan_alltoall([1] * comm.size, (), "f8", algorithm=by("pairwise")) as swapped,
    ):
        gathered.buffer[:] = sent.buffer[:] = comm.rank
        swapped.buffer[:] = comm.rank
        for plan in (gathered, sent, swapped):
            plan.start()
        while not swapped.test():
            pass
        sent.wait()
        gathered.wait()
        assert_array_equal(gathered.out, np.repeat(np.arange(comm.size), 2))
        assert_array_equal(sent.buffer, 0)
        assert_array_equal(swapped.out, np.arange(comm.size))


def test_large_counts_travel_in_pieces(comm, monkeypatch):
    monkeypatch.setattr(row_algorithms, "PIECE_BYTES", 1000)
    wanted = np.arange(10007.0)
    with comm.plan_broadcast(wanted.shape, "f8", algorithm="native") as plan:
        plan.buffer[:] = wanted if comm.rank == 0 else 0
        plan.run()
        assert_array_equal(plan.buffer, wanted)
    with comm.plan_alltoall([1007] * comm.size, (), "f8", algorithm="pairwise") as plan:
        plan.buffer[:] = comm.rank
        plan.run()
        assert_array_equal(plan.out, np.repeat(np.arange(comm.size), 1007))


def test_a_users_operator(comm):
    def keep_left(acc, x):
        pass

    if comm.size == 1 or comm._group.team is not None:
        with comm.plan_reduce_scatter((comm.size,), "f8", keep_left) as plan:
            plan.buffer[:] = comm.rank + 1
            plan.run()
            assert_array_equal(plan.out, 1)
    if comm.size > 1:
        with pytest.raises(ValueError, match="the ring needs a commutative op"):
            comm.reduce_scatter(np.ones(3), keep_left)


@pytest.mark.parametrize(
    ("plan", "kind", "message"),
    [
        (lambda c: c.plan_reduce_scatter((), "f8"), ValueError, "0-dimensional"),
        (lambda c: c.plan_reduce_scatter(3, "f8", algorithm="native"), ValueError, "choose auto, node or ring"),
        (lambda c: c.plan_reduce_scatter(3, "i4", "mean"), TypeError, "mean of int32"),
        (lambda c: c.plan_allgather(3, "O"), TypeError, "not dtype object"),
        (lambda c: c.plan_allgather(3, "f8", buffer=np.ones(4)), ValueError, "buffer must be float64 of shape"),
        (lambda c: c.plan_broadcast(3, "f8", c.size), ValueError, "root must be a rank"),
        (lambda c: c.alltoall([np.ones(3)] * (c.size - 1) + [np.array(1.0)]), ValueError, "the arrays must have rows"),
        (lambda c: c.plan_alltoall([1] * (c.size + 1), (), "f8"), ValueError, "counts must hold a number"),
        (lambda c: c.plan_alltoall([-1] * c.size, (), "f8"), ValueError, "counts must hold a number"),
    ],
)
def test_bad_arguments(comm, plan, kind, message):
    with pytest.raises(kind, match=message):
        plan(comm)
    comm.barrier()


@several
def test_one_ranks_mistake_is_everyones(comm):
    with pytest.raises(ValueError, match="root must be a rank"):
        comm.plan_broadcast(3, "f8", -1 if comm.rank == 1 else 0)
    with pytest.raises(ValueError, match="out must be float64"):
        comm.plan_allgather(3, "f8", out=np.zeros(1) if comm.rank == 1 else None)
    with pytest.raises(dpmpi.MismatchError, match="plan of broadcast of"):
        comm.plan_broadcast(3 + (comm.rank == 1), "f8")
    one, other = comm.plan_broadcast(3, "f8"), comm.plan_allgather(3, "f8")
    with pytest.raises(dpmpi.MismatchError, match="allgather"):
        (one if comm.rank == 0 else other).run()
    one.close()
    other.close()


def test_closed_plans_raise(comm):
    for plan in (
        comm.plan_reduce_scatter(3, "f8"),
        comm.plan_allgather(3, "f8"),
        comm.plan_broadcast(3, "f8"),
        comm.plan_alltoall([1] * comm.size, (), "f8"),
    ):
        plan.close()
        plan.close()
        for use in (plan.run, plan.start, plan.wait, plan.test):
            with pytest.raises(RuntimeError, match="this plan is closed"):
                use()


@several
def test_too_little_shared_memory_falls_back(comm, monkeypatch):
    monkeypatch.setattr("dpmpi.collectives.shared_memory.free_bytes", lambda: 1 << 20)
    with comm.plan_allgather(3, "f8") as plan:
        assert plan.algorithm == "ring"
        plan.buffer[:] = comm.rank
        plan.run()
        assert_array_equal(plan.out, np.repeat(np.arange(comm.size), 3))
    with pytest.raises(ValueError, match="the ring needs a commutative op"):
        comm.plan_reduce_scatter(3, "f8", lambda acc, x: None)
    comm.barrier()


def test_nothing_is_left_behind(comm):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with comm.plan_alltoall([100] * comm.size, (), "f8") as plan:
            plan.run()
        with comm.plan_reduce_scatter(100, "f8", algorithm="ring") as plan:
            plan.run()
    comm.barrier()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_closing_plans_that_were_started(comm, by):
    with comm.plan_broadcast(1000, "f8", algorithm=by("native")) as plan:
        plan.start()
    with comm.plan_allgather(1000, "f8", algorithm=by("ring")) as plan:
        plan.start()
    comm.barrier()
