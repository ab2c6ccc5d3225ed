"""The same coefficients and the same batches from 1, 2, 3 and 4 ranks, for each format, from memory and streamed."""

import gzip
import json

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

N = 2500  # three units of rows, which windows shuffle
SCRIPT = """
import hashlib, json, sys
import numpy as np
import dpmpi
from dpmpi import data

def digest(comm, batches):
    found = hashlib.sha256()
    for batch in batches:
        X = batch.X.toarray() if hasattr(batch.X, "toarray") else batch.X
        for rows in comm.share(np.column_stack([X, batch.y])):
            found.update(rows.tobytes())
    return found.hexdigest()

told = {}
with dpmpi.Engine() as engine:
    for path in sys.argv[1:]:
        wanted = {} if "svm" in path else {"target": -1 if path.endswith(("npy", "npz", "h5")) else "y"}
        for memory in ("1GiB", "48KiB"):
            dataset = data.open(path, engine.comm, max_memory=memory, **wanted)
            assert dataset.fits == (memory == "1GiB")
            result = dpmpi.fit(engine, "logistic", dataset, l2=1e-2, tol=1e-12)
            windowed = digest(engine.comm, dataset.batches(300, seed=4, epoch=2, window=1024))
            whole = digest(engine.comm, dataset.batches(300, seed=4, epoch=2)) if dataset.fits else None
            told[f"{path} {memory}"] = [[*result.coef.tolist(), float(result.intercept)], windowed, whole]
    if engine.rank == 0:
        print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    rng = np.random.default_rng(11)
    X = rng.normal(size=(N, 3)).round(4)
    y = (X @ [1, -2, 0.5] + rng.logistic(size=N) > 0.3).astype(float)
    table = np.column_stack([X, y])
    text = "a,b,c,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in table.tolist())
    (folder / "t.csv").write_text(text)
    with gzip.open(folder / "t.csv.gz", "wt") as file:
        file.write(text)
    lines = (f"{t!r} " + " ".join(f"{j + 1}:{v!r}" for j, v in enumerate(x)) for *x, t in table.tolist())
    (folder / "t.svm").write_text("\n".join(lines))
    np.save(folder / "t.npy", table)
    np.savez(folder / "t.npz", X=table)
    pq.write_table(pa.table(dict(zip("abcy", table.T, strict=True))), folder / "t.parquet", row_group_size=700)
    with h5py.File(folder / "t.h5", "w") as file:
        file["X"] = table
    return sorted(map(str, folder.iterdir()))


def test_any_number_of_ranks(mpiexec, files):
    found = []
    for ranks in (1, 2, 3, 4):
        done = mpiexec(ranks, "-c", SCRIPT, *files)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    expected = found[0][f"{files[0]} 1GiB"]
    for told in found:
        assert len(told) == 2 * len(files)
        for name, (coef, windowed, whole) in told.items():
            assert_allclose(coef, expected[0], rtol=1e-8, err_msg=name)
            assert windowed == expected[1], name
            assert whole in (expected[2], None), name
