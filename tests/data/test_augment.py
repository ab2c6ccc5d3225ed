"""Augmented batches: what each change does, and the same bits on any number of ranks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, stats

import dpmpi
from dpmpi import data
from dpmpi.data.augment import Draws, Flip, MixUp, Noise, Shift, augmented
from dpmpi.data.table import Block

pytestmark = pytest.mark.mpi

N = 3000
SHAPE = (3, 4, 2)
rng = np.random.default_rng(9)
X = rng.normal(size=(N, 24)).round(3)
Y = rng.integers(0, 2, N).astype(float)
STEPS = [Noise(0.1), MixUp(0.4), Shift(SHAPE, 1, 7.0), Flip(SHAPE), Noise(tuple(np.linspace(0, 1, 24)))]


@pytest.fixture(params=["float64", "float32"])
def path(request, comm, tmp_path):
    found = comm.share(tmp_path)[0] / "t.npz"
    if comm.rank == 0:
        np.savez(found, X=X.astype(request.param), y=Y)
    comm.barrier()
    yield found
    comm.barrier()


@pytest.fixture
def alone():
    with dpmpi.Communicator(dpmpi.collectives.mpi.MPI.COMM_SELF) as comm:
        yield comm


def batches_of(comm, path, window, **options):
    dataset = data.open(path, comm, max_memory="1GB" if window is None else "60kB")
    found = []
    for batch in dataset.batches(64, seed=3, epoch=1, window=window, augment=STEPS, **options):
        parts = comm.share((batch.X, batch.y))
        found.append([np.concatenate([part[k] for part in parts]) for k in (0, 1)])
    return found


@pytest.mark.parametrize("window", [None, 2000])
def test_the_same_bits_on_any_number_of_ranks(comm, alone, path, window):
    ours, expected = batches_of(comm, path, window), batches_of(alone, path, window)
    assert len(ours) == len(expected) >= N // 64
    for mine, theirs in zip(ours, expected, strict=True):
        assert_array_equal(mine[0], theirs[0])
        assert_array_equal(mine[1], theirs[1])
    assert ours[0][0].dtype == np.load(path)["X"].dtype


def test_fit_takes_the_same_steps(engine, alone):
    results = []
    for comm in (engine.comm, alone):
        start, stop = dpmpi.partition.block(N, comm.size, comm.rank)
        results.append(
            dpmpi.fit(
                dpmpi.Engine(comm),
                "logistic",
                X[start:stop],
                Y[start:stop],
                l2=0.1,
                solver="sgd",
                max_iter=2,
                tol=0.0,
                augment=STEPS,
            )
        )
    assert_allclose(results[0].coef, results[1].coef, rtol=1e-9, atol=1e-12)
    plain = dpmpi.fit(engine, "logistic", X, Y, l2=0.1, solver="sgd", max_iter=2, tol=0.0)
    assert np.abs(plain.coef - results[0].coef).max() > 1e-3


def change(comm, step, rows, batch=None, epoch=0):
    """Apply one augmentation to this rank's part of a batch that has the global `rows`."""
    start, stop = dpmpi.partition.block(len(rows), comm.size, comm.rank)
    mine = Block(X[rows[start:stop]], Y[rows[start:stop]], None)
    (changed,) = augmented(iter([(mine, rows[start:stop])]), [step], 5, epoch, comm)
    parts = comm.share(changed)
    return np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts])


def test_noise_is_normal_and_differs_between_rows_epochs_and_places(comm):
    rows = np.arange(N)
    noise = change(comm, Noise(2.0), rows)[0] - X
    assert stats.kstest(noise.ravel() / 2.0, "norm").pvalue > 1e-3
    assert len(np.unique(noise.round(12))) > 0.99 * noise.size
    assert abs(np.corrcoef(noise.ravel(), (change(comm, Noise(2.0), rows, epoch=1)[0] - X).ravel())[0, 1]) < 0.02
    firsts = [Draws(0, 0, place, rows).uniform(1).ravel() for place in (0, 1)]
    assert abs(np.corrcoef(*firsts)[0, 1]) < 0.1


def test_mixup_is_the_formula(comm):
    rows = np.arange(5, 400, 7)
    got_x, got_y = change(comm, MixUp(0.4), rows)
    share = stats.beta.ppf(Draws(5, 0, 0, rows).uniform(1), 0.4, 0.4)
    partner = np.roll(rows, 1)
    assert_allclose(got_x, share * X[rows] + (1 - share) * X[partner], rtol=1e-12)
    assert_allclose(got_y, share[:, 0] * Y[rows] + (1 - share[:, 0]) * Y[partner], rtol=1e-12)
    for few in (rows[:1], rows[:2]):  # fewer rows than ranks
        assert len(change(comm, MixUp(0.4), few)[0]) == len(few)


def test_images_move_and_flip(comm):
    rows = np.arange(0, 900, 3)
    images = X[rows].reshape(-1, *SHAPE)
    moves = np.floor(Draws(5, 0, 0, rows).uniform(2) * 3).astype(int) - 1
    expected = []
    for image, (down, right) in zip(images, moves, strict=True):
        padded = np.full((5, 6, 2), 9.0)
        padded[1 + down : 4 + down, 1 + right : 5 + right] = image
        expected.append(padded[1:4, 1:5].ravel())
    assert_array_equal(change(comm, Shift(SHAPE, 1, 9.0), rows)[0], expected)
    assert {tuple(move) for move in moves.tolist()} == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    for direction, axis in (("horizontal", 2), ("vertical", 1)):
        got = change(comm, Flip(SHAPE, direction, 0.3), rows)[0].reshape(images.shape)
        flipped = np.flip(images, axis)
        turned = Draws(5, 0, 0, rows).uniform(1)[:, 0] < 0.3
        assert_array_equal(got, np.where(turned[:, None, None, None], flipped, images))
        assert 0.2 < turned.mean() < 0.4
    assert_array_equal(change(comm, Shift(SHAPE, 0), rows)[0], X[rows])


def test_a_file_that_goes_bad_is_every_ranks_error(engine, comm, path):
    """One rank fails between two exchanges of rows: the others must not wait for it."""
    dataset = data.open(path, comm, max_memory="60kB")
    seen = [0]

    def goes_bad(block):
        seen[0] += 1
        if comm.rank == comm.size - 1 and seen[0] > 4 * len(dataset._pieces):
            raise data.BadRow.at(0, "it went bad")
        return block

    with pytest.raises(data.DataError, match="it went bad"):
        dpmpi.fit(engine, "logistic", dataset.map(goes_bad), solver="sgd", augment=[MixUp()], tol=0.0)


def test_mistakes(engine):
    def fit(rows=X, solver="sgd", augment=(STEPS[1],)):
        return dpmpi.fit(engine, "linear", rows, Y, solver=solver, augment=augment, max_iter=1)

    for message, make in [
        ("alpha above 0", lambda: MixUp(0)),
        ("moves by 0 pixels or more", lambda: Shift(SHAPE, -1)),
        ("horizontal or vertical", lambda: Flip(SHAPE, "up")),
        ("rows of 24 numbers are no images of 3 x 3 x 2", lambda: fit(augment=[Shift((3, 3, 2), 1)])),
        ("goes with solver 'sgd', not 'lbfgs'", lambda: fit(solver="lbfgs")),
    ]:
        with pytest.raises(ValueError, match=message):
            make()

    with pytest.raises(ValueError, match="augmentation takes dense rows"):
        fit(sparse.csr_array(X))
