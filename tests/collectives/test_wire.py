"""Compressed all-reduce between nodes: errors within their bounds, what is lost comes later, equal bits everywhere."""

import numpy as np
import pytest
from mpi4py import MPI
from numpy.testing import assert_allclose, assert_array_equal

import dpmpi
from dpmpi.collectives.staging import LEAST_PIECE, PIECES_AT_ONCE

pytestmark = pytest.mark.mpi
several = pytest.mark.mpi(min_size=2)

FORMATS = ["fp16", "bf16", "int8", "topk"]
STEP = {"fp16": 2.0**-11, "bf16": 2.0**-8, "int8": 1 / 254}  # lost of a number (int8: of the largest in its block)
SIZES = [0, 1, 2, 7, 257, 10_007, LEAST_PIECE // 4 * (PIECES_AT_ONCE + 1) + 3]


@pytest.fixture(scope="module", params=[1, 2])
def place(request):
    """Return a Communicator on several nodes of 1 or 2 ranks."""
    if request.param >= MPI.COMM_WORLD.size:
        pytest.skip("fewer ranks than two such nodes have")
    with dpmpi.Communicator(ranks_per_node=request.param) as comm:
        yield comm


def inputs(comm, n, dtype=np.float32):
    return [np.random.default_rng((rank, n)).standard_normal(n).astype(dtype) for rank in range(comm.size)]


def same_everywhere(comm, array):
    return len(set(comm.share(array.tobytes()))) == 1


@pytest.mark.parametrize("where", ["plan's", "user's"])
@pytest.mark.parametrize("format", ["fp16", "bf16", "int8"])
def test_errors_are_bounded_and_bits_equal(place, format, where):
    for n in SIZES:
        arrays = inputs(place, n)
        exact = np.sum(np.array(arrays, float), axis=0)
        memory = np.full(n + 2, 77, np.float32)
        with place.plan_allreduce(n, "f4", wire=format, buffer=memory[1:-1] if where == "user's" else None) as plan:
            assert plan.algorithm == "hierarchical"
            plan.buffer[:] = arrays[place.rank]
            plan.run()
            assert same_everywhere(place, plan.buffer)
            # Each node's sum loses a step, then their sum does.
            largest = np.sum(np.abs(arrays), axis=0) if format != "int8" else np.abs(arrays).max(initial=0) * place.size
            assert (np.abs(plan.buffer - exact) <= 2 * STEP[format] * largest + 1e-5).all()
        assert_array_equal(memory[[0, -1]], 77)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("op", ["sum", "mean"])
def test_what_is_lost_comes_later(place, format, op):
    """The sum over many runs is as far from the exact one as after a few."""
    n, runs = 3000, 60
    arrays = inputs(place, n)
    exact = np.sum(np.array(arrays, float), axis=0) / (place.size if op == "mean" else 1)
    total, furthest = np.zeros(n), []
    with place.plan_allreduce(n, "f4", op, wire=format, wire_k=0.2 if format == "topk" else None) as plan:
        for run in range(1, runs + 1):
            plan.buffer[:] = arrays[place.rank]
            plan.run()
            total += plan.buffer
            furthest.append(np.abs(total - run * exact).max())
    assert max(furthest[runs // 2 :]) <= 2 * max(furthest[: runs // 2])  # it does not grow with the runs
    assert_allclose(total / runs, exact, atol=40 / runs if format == "topk" else 0.2 / runs)


def test_without_a_plan_nothing_is_kept(place):
    arrays = inputs(place, 1000)
    results = []
    for _ in range(3):
        results.append(place.allreduce(arrays[place.rank].copy(), wire="int8"))
    assert_array_equal(results[0], results[1])
    assert_array_equal(results[0], results[2])
    out = np.empty(1000, np.float32)
    assert place.allreduce(arrays[place.rank], "mean", out, wire="bf16") is out
    assert_allclose(out, np.mean(arrays, axis=0), atol=0.05)


def test_topk_sends_the_largest(place):
    n = 2000
    array = np.full(n, 0.001, np.float32)
    array[[3, 1900]] = [1000, -2000]
    with place.plan_allreduce(n, "f4", wire="topk", wire_k=0.001) as plan:
        plan.buffer[:] = array
        plan.run()
        assert_allclose(plan.buffer[[3, 1900]], [1000 * place.size, -2000 * place.size])
        assert np.count_nonzero(plan.buffer) <= n // 100
        plan.buffer[:] = array
        assert same_everywhere(place, plan.buffer)


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4"])
def test_other_floats_are_rounded_to_float32_before(place, dtype):
    arrays = inputs(place, 500, dtype)
    with place.plan_allreduce((5, 100), dtype, wire="bf16") as plan:
        plan.buffer[:] = arrays[place.rank].reshape(5, 100)
        plan.run()
        assert plan.buffer.dtype == dtype
        assert_allclose(plan.buffer.reshape(-1), np.sum(np.array(arrays, float), axis=0), atol=0.1)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_not_finite_is_told_once(place, format):
    with place.plan_allreduce(600, "f4", wire=format, wire_k=0.1 if format == "topk" else None) as plan:
        plan.buffer[:] = 1
        plan.buffer[300] = np.nan if place.rank == place.size - 1 else 1
        plan.run()
        assert np.isnan(plan.buffer[300])
        for _ in range(2):
            plan.buffer[:] = 1
            plan.run()
        assert np.isfinite(plan.buffer).all()


def test_start_and_wait_of_several(place):
    arrays = inputs(place, 50_000)
    plans = [place.plan_allreduce(50_000, "f4", wire=format) for format in ("bf16", "int8", None)]
    for plan in plans:
        plan.buffer[:] = arrays[place.rank]
        plan.start()
    for plan in reversed(plans):
        plan.wait()
        assert_allclose(plan.buffer, np.sum(np.array(arrays, float), axis=0), atol=0.2)
        plan.close()


def test_bucket(place):
    arrays = [np.full(n, place.rank + 1.0, np.float32) for n in (3000, 5, 1000)]
    with place.bucket(arrays, "mean", bucket_bytes=8000, wire="bf16") as bucket:
        bucket.run()
    for array in arrays:
        assert_allclose(array, (place.size + 1) / 2, rtol=0.01)


def test_on_one_node_it_changes_nothing(comm):
    array = np.random.default_rng(comm.rank).standard_normal(1000)
    exact = comm.allreduce(array.copy())
    for format in FORMATS:
        assert_array_equal(comm.allreduce(array.copy(), wire=format), exact)
        with comm.plan_allreduce(1000, float, wire=format, algorithm="native") as plan:
            plan.buffer[:] = array
            plan.run()
            assert_allclose(plan.buffer, exact)


@pytest.mark.parametrize(
    ("dtype", "op", "arguments", "error", "match"),
    [
        ("f4", "sum", {"wire": "int4"}, ValueError, "unknown wire"),
        ("f4", "max", {"wire": "int8"}, ValueError, "sum and mean"),
        ("i4", "sum", {"wire": "int8"}, TypeError, "float16, float32"),
        ("F", "sum", {"wire": "bf16"}, TypeError, "float16, float32"),
        ("g", "sum", {"wire": "bf16"}, TypeError, "float16, float32"),
        ("f4", "sum", {"wire": "bf16", "wire_k": 0.1}, ValueError, "wire_k is for"),
        ("f4", "sum", {"wire_k": 0.1}, ValueError, "wire_k is for"),
        ("f4", "sum", {"wire": "topk", "wire_k": 0.0}, ValueError, "above 0"),
    ],
)
def test_bad_arguments(comm, dtype, op, arguments, error, match):
    array = np.ones(10, dtype)
    for call in (
        lambda: comm.allreduce(array, op, **arguments),
        lambda: comm.plan_allreduce(10, dtype, op, **arguments),
        lambda: comm.bucket([array], op, **arguments),
    ):
        with pytest.raises(error, match=match):
            call()
    assert_array_equal(array, 1)


def test_another_algorithm_cannot(place):
    with pytest.raises(ValueError, match="needs the algorithm hierarchical"):
        place.plan_allreduce(10, "f4", algorithm="ring", wire="int8")


@several
def test_the_ranks_agree_on_it(comm):
    mine = "int8" if comm.rank == 0 else "bf16"
    for call in (
        lambda comm: comm.plan_allreduce(10, "f4", wire=mine),
        lambda comm: comm.allreduce(np.ones(10, "f4"), wire=mine),
        lambda comm: comm.allreduce(np.ones(10, "f4"), wire="int8" if comm.rank == 0 else None),
        lambda comm: comm.allreduce(np.ones(10, "f4"), wire="topk", wire_k=0.1 if comm.rank == 0 else 0.2),
        lambda comm: comm.bucket([np.ones(10, "f4")], wire=mine),
    ):
        with pytest.raises(dpmpi.MismatchError, match="wire="):
            call(comm)
        with dpmpi.Communicator(ranks_per_node=1) as apart, pytest.raises(dpmpi.MismatchError, match="wire="):
            call(apart)
