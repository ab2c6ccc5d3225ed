"""`.npy` and `.npz`: every rank its block of rows, whatever the layout in the file."""

import tempfile
import tracemalloc
import zipfile
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from dpmpi import data, partition
from dpmpi.data import DataError, read, stored
from dpmpi.data.stored import Unpacked, open_npz

rng = np.random.default_rng(0)
MATRIX = rng.normal(size=(11, 4))
Y = np.arange(11)


def check_rows(tables, X, y=None):
    size, n = len(tables), len(X)
    for rank, table in enumerate(tables):
        start, stop = partition.block(n, size, rank)
        rows = table.X.toarray() if sparse.issparse(table.X) else table.X
        assert_array_equal(rows, X[start:stop])
        assert (table.start, table.n_rows) == (start, n)
        assert table.X.dtype == X.dtype
        if y is not None:
            assert_array_equal(table.y, y[start:stop])
            assert table.y.dtype == np.float64


@pytest.mark.parametrize("size", [1, 2, 3, 13])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", ["npy", "npz", "compressed"])
def test_dense(on_ranks, tmp_path, size, order, save):
    X = np.array(MATRIX, order=order)
    path = tmp_path / f"t.{save[:3] if save != 'compressed' else 'npz'}"
    if save == "npy":
        np.save(path, X)
        check_rows(on_ranks(size, lambda ranks: read(path, ranks, target=-1)), MATRIX[:, :3], MATRIX[:, 3])
    else:
        (np.savez if save == "npz" else np.savez_compressed)(path, X=X, y=Y, w=Y)
        tables = on_ranks(size, lambda ranks: read(path, ranks, weight="w"))
        check_rows(tables, MATRIX, Y)
        assert_array_equal(np.concatenate([table.sample_weight for table in tables]), Y)
    assert all(table.X.flags.c_contiguous for table in on_ranks(size, lambda ranks: read(path, ranks)))


@pytest.mark.parametrize("size", [1, 2, 3, 13])
@pytest.mark.parametrize("compressed", [True, False])
def test_sparse(on_ranks, tmp_path, size, compressed):
    path = tmp_path / "t.npz"
    X = np.where(MATRIX > 0, MATRIX, 0)
    sparse.save_npz(path, sparse.csr_array(X), compressed=compressed)
    tables = on_ranks(size, lambda ranks: read(path, ranks))
    check_rows(tables, X)
    assert all(table.y is None and table.X.indices.dtype == np.int32 for table in tables)
    s = sparse.csr_array(X)
    np.savez(path, data=s.data, indices=s.indices, indptr=s.indptr, shape=s.shape, format=b"csr", label=Y)
    check_rows(on_ranks(size, lambda ranks: read(path, ranks, target="label")), X, Y)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("float32", "float32"),
        ("float16", "float32"),
        (">f4", "float32"),
        (">f8", "float64"),
        ("int8", "float64"),
        ("uint64", "float64"),
        ("bool", "float64"),
        ("longdouble", "float64"),
    ],
)
def test_dtypes(on_ranks, tmp_path, stored, expected):
    X = np.array([[0, 1], [1, 0], [1, 1]]).astype(stored)
    np.save(tmp_path / "t.npy", X)
    check_rows(on_ranks(2, lambda ranks: read(tmp_path / "t.npy", ranks)), X.astype(expected))


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int16, np.float16, np.float32, np.float64])
def test_memory_is_counted_as_what_the_numbers_become(tmp_path, dtype):
    np.save(tmp_path / "m.npy", np.ones((500, 20), dtype))
    found = data.open(tmp_path / "m.npy", max_memory=2 * 80_000)
    loaded = found.load().X.nbytes
    assert loaded <= found.n_local * found.row_bytes <= 1.5 * loaded
    assert found.fits == (loaded == 40_000)


def test_columns_by_number(tmp_path):
    np.save(tmp_path / "t.npy", MATRIX)
    table = read(tmp_path / "t.npy", columns=[2, "0"], target="1", weight=None)
    assert_array_equal(table.X, MATRIX[:, [2, 0]])
    assert_array_equal(table.y, MATRIX[:, 1])
    assert (table.columns, table.target) == (None, "1")
    np.savez(tmp_path / "t.npz", X=MATRIX, y=Y)
    assert_array_equal(read(tmp_path / "t.npz", target=0).X, MATRIX[:, 1:])


def test_a_target_that_is_not_required(tmp_path):
    """As when a model predicts: the same arguments, whether the target is still there or not."""
    wanted = {"target": "3", "target_required": False, "n_columns": 3}
    for n_columns in (4, 3):
        np.save(tmp_path / "t.npy", MATRIX[:, :n_columns])
        table = read(tmp_path / "t.npy", **wanted)
        assert_array_equal(table.X, MATRIX[:, :3])
        assert (table.y is not None) == (n_columns == 4)
    for arrays in ({}, {"y": Y}):
        np.savez(tmp_path / "t.npz", X=MATRIX[:, :3], **arrays)
        table = read(tmp_path / "t.npz", **wanted)
        assert_array_equal(table.X, MATRIX[:, :3])
        assert (table.y is not None) == bool(arrays)
    sparse.save_npz(tmp_path / "t.npz", sparse.csr_array(MATRIX[:, :3]))
    assert read(tmp_path / "t.npz", **wanted).y is None


def test_a_stored_array_is_read_in_place(tmp_path):
    np.savez(tmp_path / "t.npz", X=MATRIX)
    assert open_npz(str(tmp_path / "t.npz"))["X"].member is None
    np.savez_compressed(tmp_path / "t.npz", X=MATRIX)
    assert open_npz(str(tmp_path / "t.npz"))["X"].member == "X.npy"


def with_value(value, row=7, column=2):
    X = MATRIX.copy()
    X[row, column] = value
    return X


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    ("arrays", "arguments", "parts"),
    [
        ({"X": with_value(np.nan)}, {}, ["row 8: X[7, 2] is nan", "must be finite"]),
        ({"X": with_value(-np.inf)}, {"columns": [3, 2]}, ["row 8: X[7, 2] is -inf"]),
        ({"X": with_value(np.nan)}, {"target": 2}, ["row 8: X[7, 2] is nan"]),
        ({"X": sparse.csr_array(with_value(np.nan))}, {}, ["row 8: X[7, 2] is nan"]),
        ({"X": MATRIX, "y": with_value(np.inf)[:, 2]}, {}, ["row 8: y[7] is inf"]),
        ({"X": MATRIX, "w": with_value(-2)[:, 2]}, {"weight": "w"}, ["w is -", "must not be negative"]),
        ({"X": MATRIX, "y": Y[:-1]}, {}, ["'y' has 10 rows, X has 11"]),
        ({"X": MATRIX, "y": MATRIX}, {}, ["'y' has the shape (11, 4); reshape it to (rows,)"]),
        ({"X": MATRIX[0]}, {}, ["'X' has the shape (4,); reshape it to (rows, columns)"]),
        ({"X": MATRIX[None]}, {}, ["'X' has the shape (1, 11, 4)"]),
        ({"X": MATRIX + 1j}, {}, ["'X' holds complex numbers"]),
        ({"X": MATRIX.astype(str)}, {}, ["'X' holds text"]),
        ({"X": MATRIX.astype(object)}, {}, ["'X' holds Python objects", "unpickling"]),
        ({"X": np.zeros(3, "f8,i4")}, {}, ["'X' holds structured records"]),
        ({"X": np.zeros((0, 4))}, {}, ["no rows"]),
        ({"X": MATRIX}, {"target": "label"}, ["'label' cannot be found; give its number"]),
        ({"X": MATRIX}, {"target": 4}, ["no column number 4"]),
        ({"x": MATRIX}, {}, ["no array 'X'; did you mean 'x'?", "np.savez(file, X=X, y=y)"]),
        ({"X": sparse.csr_array(MATRIX)}, {"target": -1}, ["X is sparse, and '-1' names no other array"]),
        ({"X": sparse.csr_array(MATRIX)}, {"columns": [0]}, ["X is sparse: its columns cannot be chosen"]),
        ({"X": sparse.csc_array(MATRIX)}, {}, ["the sparse format is b'csc'; save X.tocsr()"]),
    ],
)
def test_a_bad_archive_is_named(on_ranks, tmp_path, size, arrays, arguments, parts):
    path = tmp_path / "t.npz"
    if sparse.issparse(arrays.get("X")):
        sparse.save_npz(path, arrays["X"])
    else:
        np.savez(path, **arrays)
    for error in on_ranks(size, lambda ranks: read(path, ranks, **arguments)):
        assert type(error) is DataError
        for part in [str(path), *parts]:
            assert part in str(error)


def test_a_bad_npy_is_named(on_ranks, tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, MATRIX)
    whole = path.read_bytes()
    np.save(path, np.array([[{}]]), allow_pickle=True)
    pickled = path.read_bytes()
    for content, part in [
        (whole[:-1], "cut short: 351 of 352 bytes are there"),
        (whole[:20], "not a NumPy array file"),
        (b"garbage", "not a NumPy array file"),
        (pickled, "holds Python objects"),
    ]:
        path.write_bytes(content)
        for error in on_ranks(2, lambda ranks: read(path, ranks)):
            assert type(error) is DataError
            assert part in str(error)


def test_damage_to_an_archive_is_a_data_error(on_ranks, tmp_path):
    path = tmp_path / "t.npz"
    np.savez_compressed(path, X=MATRIX, y=Y)
    whole = path.read_bytes()
    for k in range(0, len(whole), 7):
        for content in (whole[:k], whole[:k] + bytes([whole[k] ^ 0xFF]) + whole[k + 1 :]):
            path.write_bytes(content)
            try:
                table = read(path)
            except DataError:
                continue
            assert_array_equal(table.X, MATRIX)


def test_damaged_sparse_indices(tmp_path):
    path = tmp_path / "t.npz"
    s = sparse.csr_array(MATRIX)
    parts = {"data": s.data, "indices": s.indices, "indptr": s.indptr, "shape": s.shape, "format": b"csr"}
    for change in (
        {"indices": s.indices + 1},
        {"indices": s.indices - 1},
        {"indptr": s.indptr[::-1]},
        {"indptr": s.indptr + 1},
        {"indptr": s.indptr[:-1]},
        {"shape": [11]},
        {"shape": [-1, 4]},
        {"indices": s.indices.astype(float)},
    ):
        np.savez(path, **parts | change)
        with pytest.raises(DataError, match=r"damaged|outside"):
            read(path)


def test_an_encrypted_archive_is_refused(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, X=MATRIX)
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        header = archive.infolist()[0].header_offset
    directory = whole.index(b"PK\x01\x02")
    whole[header + 6] |= 1
    whole[directory + 8] |= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match="encrypted"):
        read(path)


def compressed(path, sparse_rows, n=6000):
    """Write an archive of two million bytes; return X and y."""
    rng = np.random.default_rng(1)
    X = rng.integers(0, 9, (n, 40)).astype(np.float64)
    y = np.arange(float(n))
    if sparse_rows:
        X[rng.random(X.shape) < 0.5] = 0
        s = sparse.csr_array(X)
        parts = {"data": s.data, "indices": s.indices, "indptr": s.indptr, "shape": s.shape, "format": b"csr"}
        np.savez_compressed(path, **parts, y=y)
    else:
        np.savez_compressed(path, X=X, y=y)
    return X, y


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("sparse_rows", [False, True])
def test_compressed_arrays_are_unpacked_once_a_pass_and_never_held(on_ranks, tmp_path, monkeypatch, size, sparse_rows):
    path = tmp_path / "t.npz"
    X, y = compressed(path, sparse_rows)
    begun = []
    begin = Unpacked._begin
    monkeypatch.setattr(Unpacked, "_begin", lambda self: (begun.append(self._member), begin(self)))

    def call(ranks):
        dataset = data.open(path, ranks, max_memory="300kB")
        assert not dataset.fits
        assert dataset.n_blocks > 10
        return [(b.X.toarray() if sparse_rows else b.X, b.y) for b in dataset.blocks()]

    blocks = [block for told in on_ranks(size, call) for block in told]
    assert_array_equal(np.concatenate([rows for rows, _ in blocks]), X)
    assert_array_equal(np.concatenate([labels for _, labels in blocks]), y)
    assert len(begun) == size * (4 if sparse_rows else 2)


@pytest.mark.parametrize("sparse_rows", [False, True])
def test_memory_for_compressed_arrays(tmp_path, sparse_rows):
    path = tmp_path / "t.npz"
    compressed(path, sparse_rows)
    dataset = data.open(path, max_memory="300kB")
    for _ in dataset.blocks():  # what is imported on the way
        break
    tracemalloc.start()
    n_rows = sum(len(block.y) for block in dataset.blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_rows == 6000
    assert peak < 1_000_000


@given(
    st.lists(st.tuples(st.integers(-40, 200), st.integers(0, 1000)), max_size=12), st.sampled_from([1, 16, 100, 10_000])
)
def test_unpacked_bytes(steps, chunk):
    content = np.random.default_rng(0).integers(0, 256, 4000).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "_CHUNK", chunk)
        with zipfile.ZipFile(f"{folder}/t", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x", content.tobytes())
        with closing(Unpacked(f"{folder}/t", "x")) as unpacked:
            at = 0
            for step, length in steps:
                start = min(max(at + step, 0), len(content))
                out = np.empty(min(length, len(content) - start), np.uint8)
                unpacked.read(start, out)
                assert_array_equal(out, content[start : start + len(out)])
                at = start + len(out)
            with pytest.raises(EOFError, match="cut short"):
                unpacked.read(3999, np.empty(2, np.uint8))


def test_a_compressed_file_that_breaks_off_is_named(tmp_path):
    path = tmp_path / "t.npz"
    compressed(path, False)
    whole = bytearray(path.read_bytes())
    for k in range(len(whole) // 2, len(whole) // 2 + 1000):
        whole[k] ^= 0xFF
    path.write_bytes(whole)
    dataset = data.open(path, max_memory="300kB")
    with pytest.raises(DataError, match="array 'X' is damaged"):
        for _ in dataset.blocks():
            pass


@pytest.mark.parametrize("part", [1, 64, 100, 1 << 19])
def test_a_matrix_is_taken_apart_a_few_rows_at_a_time(on_ranks, tmp_path, monkeypatch, part):
    monkeypatch.setattr(stored, "_CHUNK", part)
    X = rng.normal(size=(50, 5))
    X[:, 0] = abs(X[:, 0])
    path = tmp_path / "t.npy"
    np.save(path, X)
    for table in on_ranks(3, lambda ranks: read(path, ranks, columns=[4, 1], target=2, weight=0)):
        some = slice(table.start, table.start + len(table.X))
        assert_array_equal(table.X, X[some][:, [4, 1]])
        assert_array_equal(table.y, X[some, 2])
        assert_array_equal(table.sample_weight, X[some, 0])
    for row, column in ((44, 1), (12, 2)):
        X[row, column] = np.nan
        np.save(path, X)
        with pytest.raises(DataError, match=rf"\[{row}, {column}\] is nan"):
            read(path, target=2, weight=0)


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, MATRIX)
    with stored.open_npy(str(path)).reading() as array:
        path.write_bytes(path.read_bytes()[:-8])
        assert_array_equal(array.rows(0, 10), MATRIX[:10])
        with pytest.raises(DataError, match="has become shorter"):
            array.rows(5, 11)


def test_a_damaged_header_is_a_data_error(tmp_path):
    np.save(tmp_path / "t.npy", MATRIX)
    np.savez(tmp_path / "t.npz", X=MATRIX)
    sparse.save_npz(tmp_path / "s.npz", sparse.csr_array(MATRIX), compressed=False)
    for name, damaged in (
        ("t.npy", [(b"(11, 4)", b"(11, \x004"), (b"(11, 4)", b"(11, 4 "), (b"<f8", b"<\xff8"), (b"{", b"[")]),
        ("t.npz", [(b"X.npy", b"X\xffnpy"), (b"(11, 4)", b"(11, 4 ")]),
        ("s.npz", [(b"indptr.npy", b"indptr\xffnpy"), (b"'|S3'", b"'|O3'")]),
    ):
        whole = (tmp_path / name).read_bytes()
        for part, other in damaged:
            (tmp_path / f"d{name}").write_bytes(whole.replace(part, other))
            with pytest.raises(DataError, match=f"d{name}: "):
                read(tmp_path / f"d{name}")
