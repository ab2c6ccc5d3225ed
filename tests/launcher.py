"""How the tests start several ranks, with either MPI's launcher."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

# What a launcher or a running MPI leaves in the environment: a job started from inside another must not see it.
INHERITED = ("PMI", "PMIX", "PRTE", "OMPI_", "HYDRA", "HYDI", "MPI_LOCAL", "MPIR_CVAR_CH")


def mpiexec() -> str:
    """Return the path of the launcher that belongs to this Python's MPI."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise FileNotFoundError("no mpiexec: install one, pip install 'dpmpi[mpich]'")
    return found


def command(ranks: int, *arguments: str) -> list[str]:
    """Return the command line that runs ``python arguments...`` on `ranks` ranks, more than cores if need be."""
    return [mpiexec(), *launcher_options(), "-n", str(ranks), sys.executable, *arguments]


def launcher_options() -> list[str]:
    """Return what Open MPI wants to be told; MPICH wants nothing."""
    version = subprocess.run([mpiexec(), "--version"], capture_output=True, text=True, env=environment()).stdout
    return ["--oversubscribe", "--allow-run-as-root"] if "Open MPI" in version or "OpenRTE" in version else []


def environment() -> dict[str, str]:
    """Return this process's environment without what belongs to the job it runs in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED)}
    # One thread a rank, and waiting ranks yield: the tests run more ranks than there are cores.
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}


def run(ranks: int, *arguments: str, timeout: float = 90, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python arguments...`` on `ranks` ranks and return its output; TimeoutExpired when it hangs."""
    before = _segments()
    try:
        return subprocess.run(
            command(ranks, *arguments), capture_output=True, text=True, timeout=timeout, cwd=cwd, env=environment()
        )
    finally:
        _sweep(_segments() - before)


def _segments() -> set[Path]:
    return {path for pattern in ("mpich_shm_*", "sm_segment.*") for path in Path("/dev/shm").glob(pattern)}


def _sweep(segments: set[Path]) -> None:
    """Remove what a killed job left in shared memory: files that no process has mapped."""
    if not segments:
        return
    mapped = ""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped += maps.read_text()
    for path in segments:
        if path.name not in mapped:
            path.unlink(missing_ok=True)
