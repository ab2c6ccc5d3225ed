"""Broadcast, all-to-all, and buckets of many arrays."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import dpmpi
from dpmpi.collectives.bucket import fill

pytestmark = pytest.mark.mpi

several = pytest.mark.mpi(min_size=2)


@pytest.mark.parametrize("dtype", ["?", "i2", "f2", "f4", ">f8", "G"])
@pytest.mark.parametrize("n", [0, 1, 1000])
def test_broadcast(comm, dtype, n):
    root = comm.size - 1
    array = np.arange(n).astype(dtype) if comm.rank == root else np.zeros(n, dtype)
    assert comm.broadcast(array, root) is array
    assert_array_equal(array, np.arange(n).astype(dtype))


def test_broadcast_into_strides(comm):
    memory = np.full((4, 6), float(comm.rank == 0))
    comm.broadcast(memory[:, ::2])
    assert_array_equal(memory[:, ::2], 1)
    assert_array_equal(memory[:, 1::2], float(comm.rank == 0))


def test_broadcast_in_pieces(comm, monkeypatch):
    monkeypatch.setattr("dpmpi.collectives.rows.PIECE_BYTES", 1000)
    array = np.arange(10007.0) if comm.rank == 0 else np.zeros(10007)
    assert_array_equal(comm.broadcast(array), np.arange(10007.0))


@pytest.mark.parametrize("columns", [(), (3,), (0,)])
def test_alltoall(comm, columns):
    parts = [np.full((comm.rank + 2 * dest, *columns), 10 * comm.rank + dest) for dest in range(comm.size)]
    got = comm.alltoall(parts)
    for source, array in enumerate(got):
        assert array.shape == (source + 2 * comm.rank, *columns)
        assert_array_equal(array, 10 * source + comm.rank)


def test_alltoall_refuses(comm):
    with pytest.raises(ValueError, match="one array for each"):
        comm.alltoall([np.zeros(1)] * (comm.size + 1))
    with pytest.raises(ValueError, match="must have rows"):
        comm.alltoall([np.array(1.0)] * comm.size)


@several
def test_mismatches(comm):
    with pytest.raises(dpmpi.MismatchError, match="from root 1"):
        comm.broadcast(np.zeros(3), int(comm.rank == 1))
    with pytest.raises(dpmpi.MismatchError, match="alltoall of rows of shape"):
        comm.alltoall([np.zeros((2, 1 + (comm.rank == 1)))] * comm.size)
    with pytest.raises(dpmpi.MismatchError, match="bucket of 4 float64"):
        comm.bucket([np.zeros(3 + (comm.rank == 1))])


@pytest.mark.parametrize("ranks_per_node", [None, 1])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("bucket_bytes", [1, 5000, 1 << 20])
def test_bucket(order, bucket_bytes, ranks_per_node):
    with dpmpi.Communicator(ranks_per_node=ranks_per_node) as comm:
        shapes = [(3,), (100, 7), (0,), (), (1000,), (50_000,)]
        arrays = [np.empty(shape, dtype) for shape in shapes for dtype in ("f4", "f8")]
        with comm.bucket(arrays, bucket_bytes=bucket_bytes) as bucket:
            for step in range(3):
                for i, array in enumerate(arrays):
                    array[...] = comm.rank + i + step
                for i in range(len(arrays))[::order]:
                    bucket.start(i)
                bucket.wait()
                for i, array in enumerate(arrays):
                    assert_array_equal(array, sum(range(comm.size)) + (i + step) * comm.size)
        assert (bucket.n_buckets == len(arrays)) == (bucket_bytes == 1)


def test_bucket_misuse(comm):
    with comm.bucket([np.zeros(3), np.zeros(4)], bucket_bytes=1) as bucket:
        bucket.start(0)
        with pytest.raises(RuntimeError, match="array 0 was started before"):
            bucket.start(0)
        with pytest.raises(RuntimeError, match=r"arrays \[1\] were not started"):
            bucket.wait()
        with pytest.raises(IndexError, match="no array 2, only 0 to 1"):
            bucket.start(2)
        bucket.start(1)
        bucket.wait()
        bucket.run()


def test_fill():
    f4, f8 = np.dtype("f4"), np.dtype("f8")
    assert fill([(f4, 6), (f4, 5), (f8, 3), (f4, 5), (f8, 20), (f8, 1)], 10) == [[0], [1, 3], [2], [4], [5]]
