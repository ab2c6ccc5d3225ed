"""The one place where mpi4py is imported, and where a missing or mixed-up MPI is explained."""

from __future__ import annotations

import os

# Open MPI prints an error for each window when it tries a component that cannot run on one node.
os.environ.setdefault("OMPI_MCA_osc", "^ucx")

try:
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:
    raise ImportError(
        f"dpmpi needs an MPI library, and mpi4py found none ({error}). On a cluster load its MPI module; "
        "elsewhere install one from PyPI: pip install 'dpmpi[mpich]'"
    ) from error

# What each launcher tells a process of the job's size. SLURM_NTASKS is not among them: it is also set in the batch
# script itself, outside any launched step.
LAUNCHED_SIZE = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def check_launcher() -> None:
    """Raise RuntimeError when a launcher started several processes but MPI sees only one: each would be rank 0 of 1."""
    if MPI.COMM_WORLD.size > 1:
        return
    for name in LAUNCHED_SIZE:
        launched = os.environ.get(name, "")
        if launched.isdigit() and int(launched) > 1:
            raise RuntimeError(
                f"the launcher started {launched} processes ({name}={launched}), but each of them is alone: the MPI "
                f"library in use ({library_name()}) does not belong to this launcher. Start the job with "
                "that library's own mpiexec, or with srun --mpi=pmi2 (MPICH) or --mpi=pmix (Open MPI)"
            )


def library_name() -> str:
    """Return name and version of the MPI library in use, such as "MPICH 5.0.2"."""
    first_line = MPI.Get_library_version().split("\n")[0].strip("\0, ")
    words = first_line.replace("Version:", " ").replace(",", " ").split()
    return " ".join(words[: 3 if words[0] == "Open" else 2]).replace(" v", " ")


def parallel() -> bool:
    """Whether MPI is running with more than this one rank."""
    return MPI.Is_initialized() and not MPI.Is_finalized() and MPI.COMM_WORLD.size > 1


def wait_for(request: MPI.Request) -> None:
    """Wait for a request, and let other ranks have the processor meanwhile: MPI's own wait does not."""
    while not request.Test():
        os.sched_yield()
