"""The grid of algorithms, sizes, dtypes and operators at more ranks than the other tests are run with."""

from pathlib import Path

import pytest

GRID = Path(__file__).with_name("grid.py")


@pytest.mark.parametrize("ranks", [5, 6, 7, 8])
def test_grid(mpiexec, ranks):
    done = mpiexec(ranks, str(GRID), timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[0]) > 250
