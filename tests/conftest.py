"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import launcher
import pytest
from mpi4py import MPI

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"

hypothesis.settings.register_profile("serial", deadline=None)
# All ranks must draw the same examples, in the same order.
hypothesis.settings.register_profile("mpi", deadline=None, derandomize=True, database=None, max_examples=30)
hypothesis.settings.load_profile("mpi" if MPI.COMM_WORLD.size > 1 else "serial")


@pytest.fixture
def shared_data():
    """Return a function that finds a real data set by name, and skips the test where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"data set {name} is not at ../shared/data")
        return path

    return find


@pytest.fixture
def mpiexec():
    """Return `launcher.run`, which runs ``python arguments...`` on several ranks."""
    return launcher.run


@pytest.fixture(scope="session")
def comm():
    """Return an open Communicator on all ranks."""
    import dpmpi

    with dpmpi.Communicator() as communicator:
        yield communicator


@pytest.fixture
def engine(comm):
    """Return an Engine on all ranks."""
    import dpmpi

    return dpmpi.Engine(comm)
