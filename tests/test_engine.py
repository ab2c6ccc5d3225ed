import numba
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import dpmpi
from dpmpi.partition import block

pytestmark = pytest.mark.mpi

several = pytest.mark.mpi(min_size=2)


def on_root(engine, array, root=0):
    return array if engine.rank == root else None


def own(engine, array):
    return array[slice(*block(array.shape[0], engine.size, engine.rank))]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 1001])
@pytest.mark.parametrize("dtype", ["?", "i4", "f4", "f8", "c16", "f2", ">f8", "S3", "M8[s]"])
def test_scatter_gives_each_rank_its_block(engine, n, dtype):
    whole = np.arange(n * 3).reshape(n, 3).astype(dtype)
    shard, labels = engine.scatter(on_root(engine, whole), on_root(engine, np.arange(n)))
    assert_array_equal(shard, own(engine, whole))
    assert_array_equal(labels, own(engine, np.arange(n)))
    assert shard.dtype == np.dtype(dtype).newbyteorder("=")
    assert shard.flags.c_contiguous
    assert shard.flags.owndata


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a.T])
def test_scatter_any_strides(engine, layout):
    whole = layout(np.arange(24.0).reshape(6, 4))
    (shard,) = engine.scatter(on_root(engine, whole))
    assert_array_equal(shard, own(engine, whole))


def test_scatter_in_several_pieces(engine, monkeypatch):
    monkeypatch.setattr("dpmpi.collectives.rows.PIECE_BYTES", 100)
    whole = np.arange(3000.0).reshape(1000, 3)
    (shard,) = engine.scatter(on_root(engine, whole))
    assert_array_equal(shard, own(engine, whole))


@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_array])
@pytest.mark.parametrize("n", [0, 2, 57])
def test_scatter_sparse(engine, make, n):
    whole = sp.random(n, 5, 0.3, format="csr", random_state=1)
    shard, nothing = engine.scatter(on_root(engine, make(whole)), None)
    assert nothing is None
    assert shard.format == "csr"
    assert_array_equal(shard.toarray(), own(engine, whole.toarray()))
    assert isinstance(shard, sp.csr_array if "array" in make.__name__ else sp.csr_matrix)


@several
def test_scatter_from_another_root(engine):
    whole = np.arange(10.0)
    (shard,) = engine.scatter(on_root(engine, whole, root=1), root=1)
    assert_array_equal(shard, own(engine, whole))


def test_scattered_shards_are_copies(engine):
    whole = np.zeros(8)
    (shard,) = engine.scatter(whole)
    shard += 1
    assert_array_equal(whole, 0)


@pytest.mark.parametrize(
    ("arrays", "root", "error", "message"),
    [
        ((np.zeros(3), np.zeros(4)), 0, ValueError, r"same number of rows, but have \[3, 4\]"),
        ((np.array([None, 1]),), 0, TypeError, "array 0 holds Python objects"),
        ((np.zeros(3), 5.0), 0, ValueError, "array 1 is a scalar"),
        ((np.zeros(3),), 99, ValueError, "root must be a rank"),
        ((np.zeros(3),), -1, ValueError, "root must be a rank"),
    ],
)
def test_scatter_refuses(engine, arrays, root, error, message):
    with pytest.raises(error, match=message):
        engine.scatter(*arrays, root=root)


def python_sums(x, out):
    out += x.sum(), (x**2).sum()


@numba.njit(nogil=True)
def numba_sums(x, out):
    for value in x:
        out[0] += value
        out[1] += value * value


@pytest.mark.parametrize("kernel", [python_sums, numba_sums])
@pytest.mark.parametrize("n", [0, 1, 1000])
def test_reduce_with_a_users_kernel(engine, kernel, n):
    samples = np.random.default_rng(0).normal(size=n)
    (x,) = engine.scatter(on_root(engine, samples))
    out = np.full(2, 99.0)  # whatever was there is overwritten
    got = engine.reduce(kernel, x, out=out)
    assert got is out
    assert_allclose(got, [samples.sum(), (samples**2).sum()], atol=1e-12)


@pytest.mark.parametrize(
    ("op", "combine", "dtype"),
    [
        ("min", np.minimum, float),
        ("max", np.maximum, float),
        ("min", np.minimum, np.int16),
        ("max", np.maximum, np.uint8),
        ("prod", np.multiply, float),
        ("max", np.maximum, bool),
    ],
)
def test_reduce_starts_at_the_identity(engine, op, combine, dtype):
    """With fewer rows than ranks, ranks without rows change nothing."""
    (x,) = engine.scatter(on_root(engine, np.array([3]).astype(dtype)))

    def kernel(x, out):
        for value in x:
            combine(out, value, out=out)

    assert engine.reduce(kernel, x, out=np.empty(1, dtype), op=op) == np.array([3]).astype(dtype)


def test_reduce_aligned_shards_and_params(engine):
    def kernel(x, y, weight, factor, out):
        assert weight is None
        out += factor * (x * y).sum()

    x, y = engine.scatter(np.arange(10.0), np.arange(10.0))
    assert engine.reduce(kernel, (x, y, None), 2.0, out=np.zeros(1)) == 2 * 285


@pytest.mark.parametrize(
    ("arguments", "kwargs", "error", "message"),
    [
        ((python_sums, (np.zeros(2), np.zeros(3))), {"out": np.zeros(2)}, ValueError, r"rows, but have \[2, 3\]"),
        ((python_sums, np.zeros(2)), {"out": np.zeros(2), "op": "mean"}, ValueError, "unknown op 'mean'"),
        ((python_sums, np.zeros(2)), {"out": [0, 0]}, TypeError, "out must be a NumPy array"),
        ((lambda x, out: 5, np.zeros(2)), {"out": np.zeros(2)}, TypeError, "kernel returned a value"),
    ],
)
def test_reduce_refuses(engine, arguments, kwargs, error, message):
    with pytest.raises(error, match=message):
        engine.reduce(*arguments, **kwargs)


@several
def test_a_kernel_that_fails_on_one_rank_fails_on_all(engine):
    def kernel(x, out):
        if engine.rank == 1:
            raise IndexError("off the end")

    with pytest.raises(IndexError, match="off the end"):
        engine.reduce(kernel, np.zeros(2), out=np.zeros(2))
    assert engine.reduce(python_sums, np.ones(2), out=np.zeros(2))[0] == 2 * engine.size


def test_map_and_timers(engine):
    assert engine.map(lambda x, factor: factor * x.sum(), np.ones(3), 2.0) == 6
    engine.reduce(python_sums, np.ones(3), out=np.zeros(2))
    assert engine.seconds["compute"] > 0
    assert engine.seconds["communicate"] > 0


def test_an_engine_closes_only_its_own_communicator(comm):
    with dpmpi.Engine(comm) as engine:
        assert (engine.rank, engine.size) == (comm.rank, comm.size)
    comm.barrier()
    with dpmpi.Engine() as engine:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        engine.comm.barrier()


def test_rotate_brings_every_array_to_every_rank(engine):
    array = np.full((engine.rank, 2), engine.rank)
    seen = []
    for _ in range(engine.size):
        array = engine.comm.rotate(array)
        seen.append(array.shape[0])
        assert_array_equal(array, array.shape[0])
    assert sorted(seen) == list(range(engine.size))


def test_gather_parts_come_in_rank_order(engine):
    parts = list(engine.comm.gather_parts(np.full(engine.rank, engine.rank)))
    expected = [np.full(rank, rank) for rank in range(engine.size)] if engine.rank == 0 else []
    assert [part.tolist() for part in parts] == [part.tolist() for part in expected]
