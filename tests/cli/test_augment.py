"""dpmpi fit --augment: what it means, and that it reaches the fit."""

import numpy as np
import pytest

from dpmpi import model_file
from dpmpi.cli.augment import augmentations
from dpmpi.data import DataError
from dpmpi.data.augment import Flip, MixUp, Noise, Shift


def test_what_it_means():
    assert augmentations(None) == ()
    assert augmentations("noise=0.1,mixup=0.2,shift=28x28x1:2,flip=8x9x3") == (
        Noise(0.1),
        MixUp(0.2),
        Shift((28, 28, 1), 2),
        Flip((8, 9, 3)),
    )


@pytest.mark.parametrize(
    "text", ["nois=1", "noise", "noise=a", "mixup=0", "shift=2", "shift=2x2:1", "shift=2x2x1", "flip=2x2x1:1"]
)
def test_mistakes(text):
    with pytest.raises(DataError, match="--augment takes noise=SCALE"):
        augmentations(text)


def test_it_reaches_the_fit(mpiexec, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    np.save(tmp_path / "t.npy", np.column_stack([X, X.sum(axis=1)]))
    fit = ("fit", "t.npy", "--target", "-1", "--model", "linear", "--scale", "standard", "--solver", "sgd")
    found = {}
    for ranks, augment in ((1, ["--augment", "noise=1,mixup=0.2"]), (2, ["--augment", "noise=1,mixup=0.2"]), (1, [])):
        output = f"{ranks}{len(augment)}.npz"
        done = mpiexec(ranks, "-m", "dpmpi", *fit, *augment, "--max-iter", "5", "--output", output, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found[output] = model_file.load(tmp_path / output).result.coef
    np.testing.assert_allclose(found["12.npz"], found["22.npz"], rtol=1e-9)
    assert np.abs(found["12.npz"]).sum() < 0.8 * np.abs(found["10.npz"]).sum()  # noise in X weakens coefficients
    done = mpiexec(2, "-m", "dpmpi", *fit[:-2], "--augment", "noise=1", cwd=tmp_path)
    assert done.returncode == 2
    assert "--augment changes mini-batches; add --solver sgd" in done.stderr
