"""Plans: every algorithm by its name against NumPy, in private and in shared memory, on one node and on several."""

import gc
import os
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mpi4py import MPI
from numpy.testing import assert_allclose, assert_array_equal

import dpmpi
from dpmpi.collectives import kept_plans, measure, shared_memory
from dpmpi.collectives.group import ALGORITHMS, STAGE_BYTES
from dpmpi.collectives.staging import LEAST_PIECE, PIECES_AT_ONCE

pytestmark = pytest.mark.mpi

several = pytest.mark.mpi(min_size=2)
GUARD = 77
TWINS = {
    "sum": np.add,
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "mean": np.add,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
}
SIZES = [0, 1, 2, 7, 1000, 10007, 1 << 20]


@pytest.fixture(scope="session", params=["one node", "nodes of 1", "nodes of 2", "nodes of 3"])
def place(request):
    """Return a Communicator whose ranks are on one node, or are told that they are on several."""
    words = request.param.split()
    ranks_per_node = int(words[-1]) if words[-1].isdigit() else None
    if ranks_per_node is not None and ranks_per_node >= MPI.COMM_WORLD.size:
        pytest.skip("fewer ranks than one such node has")
    with dpmpi.Communicator(ranks_per_node=ranks_per_node) as comm:
        yield comm


def inputs(comm, n, dtype, high=5):
    return [np.random.default_rng((rank, n)).integers(0, high, n).astype(dtype) for rank in range(comm.size)]


def twin(arrays, op):
    result = arrays[0].copy()
    for array in arrays[1:]:
        result = TWINS[op](result, array)
    return (result / len(arrays) if op == "mean" else result).astype(arrays[0].dtype)


def possible(comm, algorithm, op="sum", dtype=float):
    """Skip what cannot run here."""
    try:
        comm.plan_allreduce(1, dtype, op, algorithm=algorithm).close()
    except ValueError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("where", "dtype"), [("shared", "f4"), ("private", "i8")])
def test_every_algorithm(place, algorithm, where, dtype):
    possible(place, algorithm)
    for n in SIZES:
        run_three_times(place, algorithm, where, dtype, n)


def run_three_times(place, algorithm, where, dtype, n):
    arrays = inputs(place, n, dtype)
    memory = np.full(n + 2, GUARD, dtype)
    buffer = memory[1:-1] if where == "private" else None
    with place.plan_allreduce(n, dtype, algorithm=algorithm, buffer=buffer) as plan:
        assert plan.algorithm == algorithm
        for _ in range(3):
            plan.buffer[:] = arrays[place.rank]
            plan.run()
            assert_array_equal(plan.buffer, twin(arrays, "sum"))
        assert len(set(place.share(plan.buffer.tobytes()))) == 1
    assert_array_equal(memory[[0, -1]], GUARD)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("op", TWINS)
def test_every_operator(place, algorithm, op):
    for dtype in ("?", "i1", "u8", "f2", "f4", "g", "F", "D"):
        arrays = inputs(place, 1000, dtype)
        try:
            plan = place.plan_allreduce(1000, dtype, op, algorithm=algorithm)
        except (ValueError, TypeError) as error:
            assert any(words in str(error) for words in ("cannot run here", "not defined", "mean of"))  # noqa: PT017
            continue
        with plan:
            plan.buffer[:] = arrays[place.rank]
            plan.run()
            assert_allclose(plan.buffer, twin(arrays, op), rtol=1e-3 if dtype == "f2" else 1e-6)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_random_numbers_have_the_same_bits_on_every_rank_and_every_time(place, algorithm):
    possible(place, algorithm)
    array = np.random.default_rng(place.rank).normal(size=100_003).astype(np.float32)
    results = set()
    with place.plan_allreduce(array.shape, array.dtype, algorithm=algorithm) as plan:
        for _ in range(3):
            plan.buffer[:] = array
            plan.run()
            results.update(place.share(plan.buffer.tobytes()))
    assert len(results) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_start_test_wait(place, algorithm):
    possible(place, algorithm)
    arrays = inputs(place, 300_000, "f4")
    plans = [place.plan_allreduce(300_000, "f4", algorithm=algorithm) for _ in range(3)]
    for plan in plans:
        plan.buffer[:] = arrays[place.rank]
        plan.start()
    with pytest.raises(RuntimeError, match="started before"):
        plans[0].start()
    plans[0].wait()
    while not plans[1].test():
        pass
    plans[2].wait()
    for plan in plans:
        assert_array_equal(plan.buffer, twin(arrays, "sum"))
        with pytest.raises(RuntimeError, match="not started"):
            plan.wait()
        plan.close()


@pytest.mark.parametrize(
    "n",
    [STAGE_BYTES // 4 * k + d for k in (1, 2, 3) for d in (-1, 0, 1)]
    + [LEAST_PIECE // 4 * PIECES_AT_ONCE + d for d in (-1, 0, 1)]
    + [LEAST_PIECE // 4 * (3 * PIECES_AT_ONCE + 1) + 3],
)
def test_around_the_borders_of_segments_and_pieces(place, n):
    arrays = inputs(place, n, "f4")
    buffer = arrays[place.rank].copy()
    with place.plan_allreduce(n, "f4", buffer=buffer) as plan:
        plan.run()
    assert_array_equal(buffer, twin(arrays, "sum"))
    assert_array_equal(place.allreduce(arrays[place.rank].copy()), twin(arrays, "sum"))


def test_strided_float16_and_foreign_buffers(place):
    for dtype in ("f2", ">f8", "f4"):
        buffer = np.arange(20, dtype=dtype).reshape(4, 5)[:, ::2]
        with place.plan_allreduce((4, 3), dtype, buffer=buffer) as plan:
            plan.run()
        assert_array_equal(buffer, np.arange(20).reshape(4, 5)[:, ::2] * place.size)


def test_pairs(place):
    values = np.array([3.0, place.rank, -place.rank, np.nan if place.rank == 0 else 1.0, 5.0])
    array = dpmpi.pairs(values, place.rank)
    got = place.allreduce(array.copy(), "argmin")
    assert_array_equal(got["index"], [0, 0, place.size - 1, 0, 0])
    assert_array_equal(got["value"], [3, 0, 1 - place.size, np.nan, 5])
    got = place.allreduce(array.copy(), "argmax")
    assert_array_equal(got["index"], [0, place.size - 1, 0, 0, 0])


def keep_larger_magnitude(acc, x):
    for i in range(len(acc)):
        if abs(x[i]) > abs(acc[i]):
            acc[i] = x[i]


@numba.njit(nogil=True)
def compose(acc, x):
    """Affine maps ``t -> a t + b`` one after the other: associative, not commutative."""
    for i in range(0, len(acc), 2):
        a, b = acc[i], acc[i + 1]
        acc[i] = a * x[i]
        acc[i + 1] = b * x[i] + x[i + 1]


@pytest.mark.parametrize("n", [2, 1000, 100_000])
def test_a_users_operator(place, n):
    arrays = [np.random.default_rng(rank).normal(size=n) for rank in range(place.size)]
    stacked = np.array(arrays)
    expected = stacked[np.abs(stacked).argmax(axis=0), np.arange(n)]
    assert_array_equal(place.allreduce(arrays[place.rank].copy(), keep_larger_magnitude), expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_users_operator_that_does_not_commute(place, algorithm):
    arrays = [np.array([1.0 + rank, 2.0 * rank] * 50) for rank in range(place.size)]
    expected = arrays[0].copy()
    for array in arrays[1:]:
        compose.py_func(expected, array)
    try:
        plan = place.plan_allreduce(100, float, compose, algorithm=algorithm)
    except ValueError as error:
        assert "cannot run here" in str(error)  # noqa: PT017
        return
    with plan:
        plan.buffer[:] = arrays[place.rank]
        plan.run()
        assert_allclose(plan.buffer, expected)


def test_a_users_operator_that_does_not_compile(comm):
    with pytest.raises(TypeError, match=r"cannot be compiled by Numba for dtype float64: Unknown attribute.*[^\n]$"):
        comm.allreduce(np.zeros(3), lambda acc, x: acc.no_such_thing(x))


@several
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_mismatch_of_plans(place, algorithm):
    possible(place, algorithm)
    plans = [place.plan_allreduce(n, "f4", algorithm=algorithm) for n in (10, 20)]
    for plan in plans:
        plan.buffer[:] = 1
    with pytest.raises(dpmpi.MismatchError, match="rank 1: allreduce of 20 float32"):
        plans[place.rank == 1].run()
    with pytest.raises(dpmpi.MismatchError):
        place.allreduce(np.zeros(3)) if place.rank == 1 else plans[0].run()
    with pytest.raises(ValueError, match="stop"):
        place.fail(ValueError("stop")) if place.rank == 1 else plans[0].run()
    for plan in plans:
        assert_array_equal(plan.buffer, 1)
        plan.run()
        assert_array_equal(plan.buffer, place.size)
        plan.close()


@several
def test_contiguous_meets_strided_and_out(place):
    """Ranks may differ in where their numbers lie."""
    numbers = np.arange(12.0)
    for _ in range(3):
        if place.rank == 0:
            got = place.allreduce(numbers.copy())
        elif place.rank == 1:
            got = place.allreduce(np.repeat(numbers, 2)[::2])
        else:
            got = place.allreduce(numbers, out=np.empty(12))
        assert_array_equal(got, numbers * place.size)


def test_closed_plans_raise(comm):
    plan = comm.plan_allreduce(3, float)
    plan.close()
    plan.close()
    for use in (plan.run, plan.start, plan.wait, plan.test):
        with pytest.raises(RuntimeError, match="this plan is closed"):
            use()


@pytest.mark.parametrize(
    ("arguments", "kwargs", "error", "message"),
    [
        ((3, float), {"algorithm": "magic"}, ValueError, "unknown algorithm 'magic'; choose auto or one of node"),
        ((3, float), {"buffer": np.zeros(4)}, ValueError, r"buffer must be float64 of shape \(3,\)"),
        ((3, float), {"buffer": [0, 0, 0]}, TypeError, "only NumPy arrays"),
        ((3, "U3"), {}, TypeError, "sum is not defined for dtype <U3"),
        ((3, float, "xor"), {}, ValueError, "unknown op 'xor'"),
    ],
)
def test_plans_refused(comm, arguments, kwargs, error, message):
    with pytest.raises(error, match=message):
        comm.plan_allreduce(*arguments, **kwargs)


@several
def test_too_little_shared_memory_is_found_before_it_is_written(monkeypatch):
    monkeypatch.setattr(shared_memory, "free_bytes", lambda: 3 << 20)
    with dpmpi.Communicator() as comm:
        assert_array_equal(comm.allreduce(np.ones(1000)), comm.size)
        with pytest.raises(ValueError, match=r"node cannot run here.*MiB of shared memory.*/dev/shm has 3 MiB free"):
            comm.plan_allreduce(3, float, algorithm="node")
    monkeypatch.setattr(shared_memory, "free_bytes", lambda: 100 << 20)
    with dpmpi.Communicator() as comm, comm.plan_allreduce(40 << 20, "f4", algorithm="node") as plan:
        plan.buffer[:1000] = 1  # private memory, for shared memory is too small
        plan.run()
        assert_array_equal(plan.buffer[:1000], comm.size)


def held():
    """Return what this process holds: file descriptors, and mappings of shared memory."""
    gc.collect()
    mappings = Path("/proc/self/maps").read_text().splitlines()
    return len(os.listdir("/proc/self/fd")), sum("shm" in line for line in mappings)


def test_ten_thousand_calls_leak_nothing(comm):
    arrays = [np.ones(n, dtype) for n in (1, 100, 5000) for dtype in ("f4", "f8", "f2")]
    plans = [comm.plan_allreduce(100, float, algorithm=name) for name in ("auto", "ring", "recursive_doubling")]

    def mixed(times):
        for i in range(times):
            comm.allreduce(arrays[i % len(arrays)], ("sum", "max", "min")[i % 3])
            if i % 10 == 0:
                plans[i // 10 % len(plans)].run()
            if i % 100 == 0:
                with comm.plan_allreduce(1000, "f4") as plan:
                    plan.run()

    mixed(200)
    comm.barrier()
    before = held()
    comm.barrier()
    mixed(10_000 if comm.size <= len(os.sched_getaffinity(0)) else 2_000)  # crowded ranks take turns slowly
    comm.barrier()
    assert held() == before
    for plan in plans:
        plan.close()


def test_explain_of_what_cannot_be(comm):
    with pytest.raises(ValueError, match="nbytes must not be negative"):
        comm.explain(-8)
    with pytest.raises(ValueError, match="unknown op"):
        comm.explain(8, "avg" if comm.rank == 0 or comm.size == 1 else "sum")


def test_explain(comm):
    text = comm.explain(4 << 20)
    assert "all-reduce of 4194304 bytes" in text
    if comm.size > 1:
        assert "<-" in text
        assert "native" in text


def test_tune_saves_a_table_that_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measure, "TUNE_SIZES", (8, 4096))
    with dpmpi.Communicator() as comm:
        path = comm.tune()
        comm.barrier()
        assert comm.rank > 0 or Path(path).exists()
        assert_array_equal(comm.allreduce(np.ones(3)), comm.size)
        monkeypatch.setenv("XDG_CACHE_HOME", os.path.dirname(os.path.dirname(comm.share(path)[0])))
    with dpmpi.Communicator() as comm:
        assert comm.size == 1 or "read from" in comm.explain(8)


@several
@pytest.mark.parametrize("algorithm", ["hierarchical", "ring", "native"])
def test_several_under_way_may_end_in_any_order(place, algorithm):
    possible(place, algorithm)
    plans = [place.plan_allreduce(300_000, "f4", algorithm=algorithm) for _ in range(3)]
    for step in range(5):
        for i, plan in enumerate(plans):
            plan.buffer[:] = (place.rank + 1) * (i + 1) + step
        for plan in plans:
            plan.start()
        waiting = plans if place.rank % 2 else plans[::-1]
        while waiting:
            waiting = [plan for plan in waiting if not plan.test()]
        for i, plan in enumerate(plans):
            total = place.size * (place.size + 1) // 2 * (i + 1) + step * place.size
            assert_array_equal(plan.buffer, np.full(300_000, total, "f4"))
    for plan in plans:
        plan.close()


@given(shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5), data=st.data())
def test_users_arrays_of_any_strides(place, shape, data):
    algorithm = data.draw(st.sampled_from(("auto", *ALGORITHMS)))
    dtype = np.dtype(data.draw(st.sampled_from(["i2", ">i4", "f4", ">f8", "f2", "c8"])))
    steps = data.draw(st.tuples(*(st.sampled_from([-2, -1, 1, 2, 3]) for _ in shape)))
    memory = np.full([n * abs(step) + 2 for n, step in zip(shape, steps, strict=True)], GUARD, dtype)
    array = memory[tuple(slice(1, -1) for _ in shape)][tuple(slice(None, None, step) for step in steps)]
    array = array[tuple(slice(n) for n in shape)].transpose(data.draw(st.permutations(range(len(shape)))))
    try:
        plan = place.plan_allreduce(array.shape, dtype, algorithm=algorithm, buffer=array)
    except ValueError as error:
        assert "cannot run here" in str(error)  # noqa: PT017
        return
    with plan:
        array[...] = place.rank + 1
        before = memory.copy()
        plan.run()
        assert_array_equal(array, np.full(array.shape, place.size * (place.size + 1) // 2, dtype))
        array[...] = place.rank + 1
        assert_array_equal(memory, before)  # nothing beside it was touched


def test_kept_plans_are_the_same_on_every_rank(place):
    for _ in range(2):
        for n in range(9000, 9150):  # more than are kept
            strided = np.ones(2 * n, "f4")[::2] if place.rank % 2 else np.ones(n, "f4")
            assert_array_equal(place.allreduce(strided), np.full(n, place.size))
        if place.size > 1:
            with pytest.raises(dpmpi.MismatchError):
                place.allreduce(np.ones(9000 + (place.rank == 1)))
    large = np.ones(900_000, "f4")
    for op in ("sum", "max", "min", "prod", "mean", "logical_or"):
        assert_array_equal(place.allreduce(large.copy(), op)[:3], place.size if op == "sum" else 1)
    assert place._kept._bytes <= kept_plans.TOTAL_BYTES


@several
@pytest.mark.parametrize("algorithm", ["hierarchical", "ring", "native"])
def test_ranks_may_wait_for_different_plans_first(place, algorithm):
    possible(place, algorithm)
    plans = [place.plan_allreduce(300_000, "f8", algorithm=algorithm) for _ in range(2)]
    for plan in plans:
        plan.buffer[:] = place.rank
        plan.start()
    for plan in plans if place.rank == 0 else plans[::-1]:
        plan.wait()
    for plan in plans:
        assert_array_equal(plan.buffer[:3], place.size * (place.size - 1) / 2)
        plan.close()


def test_dtypes_that_one_name_does_not_tell_apart(place):
    swapped = np.ones(5000, ">f8" if place.rank == 0 else "<f8")
    for _ in range(3):
        assert_array_equal(place.allreduce(swapped.copy()), place.size)
    assert_array_equal(place.alltoall([swapped] * place.size)[0], 1)
    if place.size > 1:
        values = np.ones(2, "f4" if place.rank == 0 else "f8")
        with pytest.raises(dpmpi.MismatchError):
            place.allreduce(dpmpi.pairs(values, np.arange(2)), "argmin")


def test_a_plan_outlives_neither_its_array_nor_its_communicator():
    comm = dpmpi.Communicator()
    plan = comm.plan_allreduce(100, "f8", buffer=np.ones(100))
    run = plan.run
    run()
    other = comm.plan_allreduce(100, "f8")
    other.close()
    plan.close()
    if comm._group.team is not None:
        with pytest.raises(RuntimeError, match="this plan is closed"):
            run()
    comm.close()
    with pytest.raises(RuntimeError, match="closed"):
        comm.allreduce(np.ones(3))
