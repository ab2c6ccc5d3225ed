"""What a command cannot do with a file or an option: one message, exit status 2."""

import h5py
import numpy as np
import pytest
from scipy import sparse

from dpmpi.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.svm").write_text("1 1:2 3:4\n0 2:1\n" * 9)
    sparse.save_npz("x.npz", sparse.csr_array(np.eye(9, 3)))
    with np.load("x.npz") as arrays:
        np.savez("s.npz", **arrays, y=np.arange(9) % 2)
    np.save("a.npy", np.arange(6.0))
    (tmp_path / "t.csv").write_text("a,b,y\n" + "1,2,0\n2,1,1\n3,3,0\n" * 5)
    return tmp_path


def test_hdf5_that_holds_no_numbers_beside_x_is_passed_over(folder):
    with h5py.File("t.h5", "w") as file:
        h5py.h5d.create(file.id, b"times", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((6,)))
        file["X"], file["y"] = np.arange(12.0).reshape(6, 2), np.arange(6.0)
        file.create_dataset("meta", data=h5py.Empty("f"))
    assert main(["fit", "t.h5", "--model", "linear"]) == 0


SEED = "seed must be 0 or more and below 2^63, not 9999"
AUGMENT = "--augment takes noise=SCALE, mixup=ALPHA, shift=HxWxC:PIXELS and flip=HxWxC with commas between, not "
SPARSE = "its rows are sparse; preprocessing and describe take dense rows"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["describe", "s.svm"], f"s.svm: {SPARSE}"),
        (["describe", "s.npz", "--scatter"], f"s.npz: {SPARSE}"),
        (["fit", "s.svm", "--model", "logistic", "--scale", "standard"], f"s.svm: {SPARSE}"),
        (["fit", "s.npz", "--model", "logistic", "--clip", "0:1:2"], f"s.npz: {SPARSE}"),
        (
            ["fit", "s.svm", "--model", "linear", "--solver", "sgd", "--augment", "noise=1"],
            "takes dense rows, not sparse",
        ),
        (["fit", "t.csv", "--target", "y", "--model", "linear", "--solver", "sgd", "--augment", "noise=-1"], AUGMENT),
        (
            ["fit", "t.csv", "--target", "y", "--model", "linear", "--solver", "sgd", "--augment", "flip=1x-2x-1"],
            AUGMENT,
        ),
        (
            ["fit", "t.csv", "--target", "y", "--model", "linear", "--impute", "inf"],
            "--impute takes mean, median or a f",
        ),
        (["predict", "a.npy", "t.csv"], "a.npy: not a dpmpi model, or damaged"),
        (["fit", "t.csv", "--target", "y", "--model", "linear", "--solver", "sgd", "--seed", "9" * 20], SEED),
        (["fit", "t.csv", "--target", "y", "--model", "linear", "--validation", "0.4", "--seed", "9" * 20], SEED),
        (["describe", "t.csv", "--max-memory", "9" * 400], "is no amount of memory"),
    ],
)
def test_one_message(folder, capsys, arguments, told):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    message = capsys.readouterr().err
    assert (exit.value.code, message.count("dpmpi: error: ")) == (2, 1)
    assert told in message


def test_sparse_rows_are_refused_on_all_ranks_together(folder, mpiexec):
    done = mpiexec(3, "-m", "dpmpi", "describe", "s.svm", cwd=folder)
    assert (done.returncode, done.stderr.count("error")) == (2, 1)
    assert SPARSE in done.stderr


def test_a_scaled_model_does_not_take_sparse_rows(folder, capsys):
    main(["fit", "t.csv", "--target", "y", "--model", "linear", "--scale", "standard", "--output", "m.npz"])
    with pytest.raises(SystemExit) as exit:
        main(["predict", "m.npz", "s.svm"])
    assert exit.value.code == 2
    assert SPARSE in capsys.readouterr().err
