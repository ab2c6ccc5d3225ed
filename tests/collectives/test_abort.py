"""A rank that fails ends the whole job, with its traceback and a status other than 0. Each job has a time limit."""

import time

import pytest

PROLOGUE = "import sys, time; import numpy as np; import dpmpi\n"
WAIT_FOR_EVER = "comm.allreduce(np.zeros(3))\n"


def run(mpiexec, tmp_path, ranks, body):
    script = tmp_path / "job.py"
    script.write_text(PROLOGUE + body)
    begin = time.monotonic()
    done = mpiexec(ranks, str(script), timeout=60)
    return done, time.monotonic() - begin


@pytest.fixture
def start_up(mpiexec, tmp_path):
    """Return how long a job takes that does nothing."""
    return run(mpiexec, tmp_path, 3, "with dpmpi.Communicator() as comm: pass\n")[1]


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("culprit", [0, 1])
def test_an_uncaught_exception(mpiexec, tmp_path, start_up, ranks, culprit):
    done, seconds = run(
        mpiexec,
        tmp_path,
        ranks,
        "with dpmpi.Communicator() as comm:\n"
        f"    if comm.rank == {culprit}: raise KeyError('lost marbles')\n"
        "    comm.allreduce(np.zeros(3))\n",
    )
    assert done.returncode != 0
    assert "KeyError: 'lost marbles'" in done.stderr
    assert f"rank {culprit} of {ranks} failed" in done.stderr
    assert "job.py" in done.stderr
    assert seconds < start_up + 5


def test_without_a_with_block(mpiexec, tmp_path, start_up):
    done, seconds = run(
        mpiexec, tmp_path, 3, "comm = dpmpi.Communicator()\nif comm.rank == 2: raise OSError('gone')\n" + WAIT_FOR_EVER
    )
    assert done.returncode != 0
    assert "OSError: gone" in done.stderr
    assert seconds < start_up + 5


def test_before_the_communicator_exists(mpiexec, tmp_path, start_up):
    done, seconds = run(
        mpiexec,
        tmp_path,
        2,
        "from mpi4py import MPI\nif MPI.COMM_WORLD.rank == 1: raise OSError('early')\ncomm = dpmpi.Communicator()\n",
    )
    assert done.returncode != 0
    assert "OSError: early" in done.stderr
    assert seconds < start_up + 5


def test_an_error_of_all_ranks_is_told_once(mpiexec, tmp_path):
    done, _ = run(
        mpiexec,
        tmp_path,
        3,
        "with dpmpi.Communicator() as comm:\n    comm.allreduce(np.zeros(3 + comm.rank))\n",
    )
    assert done.returncode != 0
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.count("MismatchError: the ranks do not make the same call") == 1


@pytest.mark.parametrize("block", ["with dpmpi.Communicator() as comm:\n    ", "comm = dpmpi.Communicator()\n"])
@pytest.mark.parametrize("leaves", ["sys.exit(3)", "sys.exit()"])
def test_sys_exit_of_one_rank(mpiexec, tmp_path, start_up, block, leaves):
    indent = "    " if block.startswith("with") else ""
    done, seconds = run(mpiexec, tmp_path, 3, block + f"if comm.rank == 1: {leaves}\n" + indent + WAIT_FOR_EVER * 2)
    assert done.returncode != 0
    assert "rank 1: the end of the program, by sys.exit" in done.stderr
    assert "ranks 0, 2: allreduce of 3 float64" in done.stderr
    assert seconds < start_up + 5


def test_others_may_go_on_behind_one_that_ended(mpiexec, tmp_path):
    done, _ = run(
        mpiexec,
        tmp_path,
        3,
        "comm = dpmpi.Communicator()\n"
        "if comm.rank == 2: sys.exit()\n"
        "for _ in range(3):\n"
        "    try: comm.allreduce(np.zeros(3))\n"
        "    except dpmpi.MismatchError: sys.stdout.write('told\\n')\n",
    )
    assert done.returncode == 0
    assert done.stdout.split() == ["told"] * 6


def test_several_left_open(mpiexec, tmp_path):
    body = "import atexit, os\ncomms = [dpmpi.Communicator() for _ in range(3)]\ncomms[1].close()\n"
    body += "time.sleep(0.3 * comms[0].rank)\n"
    body += "if os.fork() == 0: atexit._run_exitfuncs(); os._exit(0)\n"  # a child's end is not the rank's
    body += "os.wait()\n"
    done, _ = run(mpiexec, tmp_path, 3, body)
    assert done.returncode == 0
    assert not done.stderr


def test_sys_exit_of_all_ranks_is_quiet(mpiexec, tmp_path):
    done, _ = run(mpiexec, tmp_path, 3, "with dpmpi.Communicator() as comm:\n    sys.exit(3)\n")
    assert done.returncode == 3
    assert "dpmpi" not in done.stderr


def test_a_kernel_that_raises_on_one_rank_raises_on_all(mpiexec, tmp_path):
    done, _ = run(
        mpiexec,
        tmp_path,
        3,
        "def kernel(x, out):\n"
        "    if x[0] == 1: raise ValueError('bad row')\n"
        "with dpmpi.Engine() as engine:\n"
        "    try: engine.reduce(kernel, np.array([engine.rank]), out=np.zeros(1))\n"
        "    except ValueError as error: sys.stdout.write(f'{engine.rank} {error}\\n')\n"
        "    engine.comm.barrier()\n",
    )
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["0 rank 1: bad row", "1 bad row", "2 rank 1: bad row"]


def test_the_wrong_launcher(tmp_path):
    import os
    import subprocess
    import sys

    import launcher

    done = subprocess.run(
        [sys.executable, "-c", "import dpmpi; dpmpi.Communicator()"],
        env=launcher.environment() | {"SLURM_STEP_NUM_TASKS": "4"},
        capture_output=True,
        text=True,
        cwd=os.fspath(tmp_path),
    )
    assert done.returncode == 1
    assert "the launcher started 4 processes" in done.stderr
    assert "does not belong to this launcher" in done.stderr
