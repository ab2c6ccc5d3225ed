"""The progress thread: messages of started plans go on while the rank computes."""

import os
import threading
import time

import numpy as np
import pytest
from mpi4py import MPI
from numpy.testing import assert_array_equal

import dpmpi

pytestmark = pytest.mark.mpi


@pytest.fixture(scope="module", params=[None, 1, 2])
def helped(request):
    if request.param is not None and request.param >= MPI.COMM_WORLD.size:
        pytest.skip("fewer ranks than one such node has")
    with dpmpi.Communicator(ranks_per_node=request.param, progress_thread=True) as comm:
        yield comm


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "dpmpi-progress"]


def test_there_is_none_unless_asked_for():
    before = len(threads())
    with dpmpi.Communicator():
        assert len(threads()) == before
    with dpmpi.Communicator(progress_thread=True):
        assert len(threads()) == before + 1
    assert len(threads()) == before


@pytest.mark.parametrize("algorithm", ["ring", "native", "auto"])
def test_a_plan_comes_to_its_end_without_being_called(helped, algorithm):
    with helped.plan_allreduce(300_000, "f4", algorithm=algorithm) as plan:
        for step in range(3):
            plan.buffer[:] = helped.rank + step
            plan.start()
            if plan.algorithm not in ("node", "recursive_doubling"):  # whose work is done in wait
                deadline = time.monotonic() + 20
                while not plan._done and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert plan._done
            plan.wait()
            total = helped.size * (helped.size - 1) // 2 + step * helped.size
            assert_array_equal(plan.buffer, np.full(300_000, total, "f4"))


def test_mixed_with_calls_of_the_rank_itself(helped):
    arrays = [np.zeros(n, "f4") for n in (10, 5000, 70_000, 3)]
    with helped.bucket(arrays, bucket_bytes=20_000) as bucket:
        for step in range(30):
            for i, array in enumerate(arrays):
                array[:] = step + i + helped.rank
                bucket.start(i)
                assert helped.allreduce(np.ones(3))[0] == helped.size
            bucket.wait()
            for i, array in enumerate(arrays):
                assert_array_equal(array, helped.size * (step + i) + helped.size * (helped.size - 1) // 2)


def test_closing_a_plan_that_was_started(helped):
    plan = helped.plan_allreduce(1000, "f8", algorithm="ring")
    plan.start()
    plan.close()
    helped.barrier()


def test_it_keeps_off_the_ranks_processors_where_it_can(helped):
    (thread,) = threads()
    allowed = os.sched_getaffinity(0)
    its_own = os.sched_getaffinity(thread.native_id)
    ranks = helped._group.topology.local.size
    assert len(its_own) == (1 if len(allowed) > ranks else len(allowed))
    assert its_own <= allowed


def test_opened_and_closed_many_times():
    for _ in range(40):
        with (
            dpmpi.Communicator(progress_thread=True) as comm,
            comm.plan_allreduce(1000, "f8", algorithm="ring") as plan,
        ):
            plan.start()
            plan.wait()
