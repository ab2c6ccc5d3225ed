"""The readers on real ranks."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from dpmpi import data
from dpmpi.data import DataError, read

pytestmark = pytest.mark.mpi


@pytest.fixture
def folder(comm, tmp_path):
    path = comm.share(tmp_path)[0]
    yield path
    comm.barrier()  # pytest may remove rank 0's folder


@pytest.mark.parametrize("name", ["t.csv", "t.npy", "t.npz", "t.svm"])
def test_every_format(comm, folder, name):
    matrix = np.random.default_rng(0).normal(size=(10, 3)).round(3)
    if comm.rank == 0:
        if name == "t.csv":
            (folder / name).write_text("a,b,c\n" + "\n".join(",".join(map(str, row)) for row in matrix))
        elif name == "t.npy":
            np.save(folder / name, matrix)
        elif name == "t.npz":
            np.savez(folder / name, X=matrix[:, :2], y=matrix[:, 2])
        else:
            (folder / name).write_text("\n".join(f"{c} 1:{a} 2:{b}" for a, b, c in matrix))
    comm.barrier()
    table = read(folder / name, comm, target=None if name in ("t.npz", "t.svm") else -1)
    X = table.X.toarray() if sparse.issparse(table.X) else table.X
    assert_array_equal(np.concatenate(comm.share(X)), matrix[:, :2])
    assert_array_equal(np.concatenate(comm.share(table.y)), matrix[:, 2])
    assert table.start == sum(comm.share(len(table.y))[: comm.rank])


@pytest.mark.parametrize("bad", [0, 10, 29])
def test_a_bad_row_is_every_ranks_error(comm, folder, bad):
    if comm.rank == 0:
        (folder / "t.csv").write_text("a,b\n" + "".join(f"{k},{'x' if k == bad else k}\n" for k in range(30)))
    comm.barrier()
    with pytest.raises(DataError, match=rf"row {bad + 1} \(line {bad + 2}\): column 'b' is 'x', not a number"):
        read(folder / "t.csv", comm)


@pytest.mark.mpi(min_size=2)
def test_a_file_that_one_rank_lacks(comm, folder):
    if comm.rank == 0:
        (folder / "t.csv").write_text("a\n1\n")
    comm.barrier()
    last = comm.size - 1
    path = folder / ("none.csv" if comm.rank == last else "t.csv")
    with pytest.raises(DataError, match=f"no such file or directory on rank {last}, though"):
        read(path, comm)


def test_real_data(comm, shared_data):
    table = read(shared_data("a9a"), comm)
    assert sum(comm.share(table.X.shape[0])) == table.n_rows == 32561
    assert table.X.shape[1] == 123


def test_a_file_that_only_rank_0_sees(comm, folder):
    path = folder / "t.csv"
    if comm.rank == 0:
        path.write_text("a,y\n" + "".join(f"{k},{k % 2}\n" for k in range(999)))
    dataset = data.open(path if comm.rank == 0 else "nowhere.csv", comm, target="y", scatter=True)
    rows = [block.X[:, 0] for block in dataset.blocks()]
    assert np.concatenate(comm.share(np.concatenate([[], *rows]))).tolist() == list(range(999))
