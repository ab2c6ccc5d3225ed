"""all-reduce and its halves against NumPy, on as many ranks as there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

import dpmpi
from dpmpi.partition import block

pytestmark = pytest.mark.mpi

DTYPES = ["?", "b", "h", "i", "q", "B", "H", "I", "Q", "e", "f", "d", "g", "F", "D", "G"]
TWINS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum}
GUARD = 123


def inputs(comm, n, dtype, seed=0):
    """Return every rank's array."""
    draws = [np.random.default_rng((seed, rank, n)).integers(0, 5, n) for rank in range(comm.size)]
    arrays = [draw.astype(dtype) for draw in draws]
    if np.dtype(dtype).kind == "c":
        arrays = [a + 1j * a[::-1].astype(dtype) for a in arrays]
    return arrays


def twin(arrays, op):
    dtype = arrays[0].dtype
    result = arrays[0].astype(np.float32) if dtype == np.float16 else arrays[0].copy()
    for array in arrays[1:]:
        result = TWINS[op](result, array)
    return (result / len(arrays) if op == "mean" else result).astype(dtype)


def same_bits(comm, array):
    if array.dtype.char in "gG":  # the bytes that pad a long double are no part of it
        return all(np.array_equal(array, other) for other in comm.share(array))
    return len(set(comm.share(array.tobytes()))) == 1


# The mean of integers does not fit their dtype: see test_integer_mean.
PAIRS = [(dtype, op) for dtype in DTYPES for op in TWINS if op != "mean" or np.dtype(dtype).kind in "fc"]


@pytest.mark.parametrize(("dtype", "op"), PAIRS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000, 10007])
def test_in_place(comm, dtype, op, n):
    arrays = inputs(comm, n, dtype)
    guarded = np.full(n + 2, GUARD).astype(dtype)
    array = guarded[1:-1]
    array[:] = arrays[comm.rank]
    got = comm.allreduce(array, op)
    assert got is array
    assert_allclose(got, twin(arrays, op), rtol=1e-6)
    assert same_bits(comm, got)
    assert_array_equal(guarded[[0, -1]], np.full(2, GUARD).astype(dtype))


@pytest.mark.parametrize("op", TWINS)
def test_out_leaves_the_input_alone(comm, op):
    arrays = inputs(comm, 1000, float)
    array, out = arrays[comm.rank].copy(), np.full(1000, np.nan)
    array.flags.writeable = False
    got = comm.allreduce(array, op, out=out)
    assert got is out
    assert_allclose(out, twin(arrays, op))
    assert_array_equal(array, arrays[comm.rank])


def test_several_segments_a_chunk(comm):
    arrays = inputs(comm, 1_500_000, np.float32)
    got = comm.allreduce(arrays[comm.rank].copy())
    assert_array_equal(got, twin(arrays, "sum"))


def test_random_numbers_end_with_the_same_bits_everywhere_and_every_time(comm):
    array = np.random.default_rng(comm.rank).normal(size=10007).astype(np.float32)
    first, second = comm.allreduce(array.copy()), comm.allreduce(array.copy())
    assert same_bits(comm, first)
    assert first.tobytes() == second.tobytes()


@given(shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5), data=st.data())
def test_any_shape_and_strides(shape, data):
    with dpmpi.Communicator() as comm:
        index = data.draw(hnp.basic_indices(shape, allow_ellipsis=False))
        order = data.draw(st.sampled_from("CF"))
        arrays = [np.asarray(np.arange(np.prod(shape)).reshape(shape, order=order) + rank) for rank in range(comm.size)]
        views = [np.atleast_1d(a[index]) if np.ndim(a[index]) == 0 else a[index] for a in arrays]
        expected = sum(views)
        got = comm.allreduce(views[comm.rank])
        assert_array_equal(got, expected)


def test_an_array_without_dimensions(comm):
    got = comm.allreduce(np.array(1.5))
    assert got.shape == ()
    assert got == 1.5 * comm.size


def test_non_native_byte_order(comm):
    got = comm.allreduce(np.arange(5, dtype=">f8"))
    assert got.dtype == np.dtype(">f8")
    assert_array_equal(got, np.arange(5) * comm.size)


def test_out_may_overlap_the_input(comm):
    memory = np.arange(11.0)
    got = comm.allreduce(memory[:10], out=memory[1:])
    assert_array_equal(got, np.arange(10.0) * comm.size)


def test_nan_and_infinity_pass(comm):
    array = np.array([np.nan if comm.rank == 0 else 1.0, np.inf, 1.0])
    assert_array_equal(comm.allreduce(array.copy(), "max"), [np.nan, np.inf, 1])
    assert_array_equal(comm.allreduce(array.copy(), "min"), [np.nan, np.inf, 1])
    assert_array_equal(comm.allreduce(array.copy(), "sum"), [np.nan, np.inf, comm.size])


def test_float16_is_summed_in_float32(comm):
    got = comm.allreduce(np.full(3, 2048.0 if comm.rank == 0 else 1.0, np.float16))
    assert_array_equal(got, np.float16(2048 + comm.size - 1))


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("op", TWINS)
def test_reduce_scatter_is_the_first_half(comm, rows, op):
    arrays = [a.reshape(rows, 3) for a in inputs(comm, rows * 3, float)]
    mine = arrays[comm.rank].copy()
    got = comm.reduce_scatter(mine, op)
    assert_allclose(got, twin(arrays, op)[slice(*block(rows, comm.size, comm.rank))])
    assert_array_equal(mine, arrays[comm.rank])
    out = np.empty_like(got)
    assert comm.reduce_scatter(mine, op, out=out) is out
    assert_array_equal(out, got)


@pytest.mark.parametrize("dtype", DTYPES)
def test_allgather_is_the_second_half(comm, dtype):
    arrays = [np.arange(2.0 * rank * (rank != 1)).reshape(-1, 2).astype(dtype) for rank in range(comm.size)]
    got = comm.allgather(arrays[comm.rank])
    assert got.dtype == np.dtype(dtype)
    assert_array_equal(got, np.concatenate(arrays))
    out = np.zeros_like(got)
    assert comm.allgather(arrays[comm.rank], out=out) is out
    assert_array_equal(out, got)


def test_the_halves_make_a_whole(comm):
    array = np.random.default_rng(comm.rank).normal(size=(1001, 3))
    whole = comm.allreduce(array.copy())
    assert_allclose(comm.allgather(comm.reduce_scatter(array)), whole, rtol=1e-12)


@pytest.mark.parametrize("dtype", [bool, int, np.uint8])
def test_integer_mean(comm, dtype):
    with pytest.raises(TypeError, match="mean of"):
        comm.allreduce(np.ones(3, dtype), "mean")


@pytest.mark.parametrize(
    ("array", "kwargs", "error", "message"),
    [
        ([1.0], {}, TypeError, "only NumPy arrays .* list"),
        (1.0, {}, TypeError, "only NumPy arrays .* float"),
        (np.array(["a"]), {}, TypeError, "dtype <U1"),
        (np.array([None]), {}, TypeError, "dtype object"),
        (np.ma.masked_array([1.0]), {}, TypeError, "masked"),
        (np.zeros(2), {"op": "median"}, ValueError, "unknown op 'median'; choose one of sum"),
        (np.zeros(2), {"op": 3}, TypeError, "op must be a name or a function"),
        (np.zeros(2), {"op": "bitwise_and"}, TypeError, "bitwise_and is not defined for dtype float64"),
        (np.zeros(2), {"op": "argmin"}, TypeError, "argmin is not defined for dtype float64; it takes pairs"),
        (np.zeros(2), {"out": np.zeros(3)}, ValueError, r"out must be float64 of shape \(2,\)"),
        (np.zeros(2), {"out": np.zeros(2, int)}, ValueError, "out must be float64"),
        (np.zeros(2), {"out": [0, 0]}, TypeError, "out must be a NumPy array"),
        (np.broadcast_to(1.0, 3), {}, ValueError, "read-only"),
    ],
)
def test_bad_arguments_raise_on_every_rank(comm, array, kwargs, error, message):
    """Only the last rank is wrong; the others are told who was."""
    wrong = comm.rank == comm.size - 1
    with pytest.raises(error, match=message) as raised:
        comm.allreduce(array, **kwargs) if wrong else comm.allreduce(np.zeros(2))
    assert wrong or str(raised.value).startswith(f"rank {comm.size - 1}: ")
    assert comm.allreduce(np.ones(1)) == comm.size  # and all can go on


def test_closed(comm):
    with dpmpi.Communicator() as other:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        other.allreduce(np.zeros(1))
    other.close()


def test_it_owns_a_duplicate(comm):
    from mpi4py import MPI

    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    mine = MPI.COMM_WORLD.isend(comm.rank, right, tag=7)
    assert_array_equal(comm.allreduce(np.ones(10)), comm.size)
    assert MPI.COMM_WORLD.recv(source=left, tag=7) == left
    mine.wait()


def test_a_subset_of_the_ranks():
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    half = world.Split(world.rank % 2)
    with dpmpi.Communicator(half) as comm:
        assert_array_equal(comm.allreduce(np.ones(5)), half.size)
    half.Free()


def test_what_is_no_communicator():
    with pytest.raises(TypeError, match="comm must be"):
        dpmpi.Communicator("world")
