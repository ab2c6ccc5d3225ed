"""Every algorithm at every size, with half of the dtypes and operators at each, guard words behind each buffer.

    mpiexec -n 8 python tests/collectives/grid.py

Prints ``N combinations`` on rank 0; an AssertionError on any rank ends the job.
"""

import numpy as np

import dpmpi

SIZES = (0, 1, 2, 7, 1000, 10007, 1 << 20)
ALGORITHMS = ("auto", "node", "hierarchical", "ring", "recursive_doubling", "native")
KINDS = (
    ("sum", "f4", np.add),
    ("mean", "f8", np.add),
    ("prod", "c16", np.multiply),
    ("max", "i4", np.maximum),
    ("min", "f4", np.minimum),
    ("sum", "f2", np.add),
    ("bitwise_xor", "u1", np.bitwise_xor),
    ("logical_or", "?", np.logical_or),
    ("sum", "g", np.add),
)
GUARD = 77


def values(rank: int, n: int, dtype: str) -> np.ndarray:
    """Return small whole numbers, of which every order of summation gives the same sum."""
    return np.random.default_rng((rank, n)).integers(0, 3, n).astype(dtype)


def expected(size: int, n: int, op: str, dtype: str, twin: np.ufunc) -> np.ndarray:
    """Return what NumPy makes of the ranks' arrays."""
    result = values(0, n, dtype)
    for rank in range(1, size):
        result = twin(result, values(rank, n, dtype))
    return (result / size if op == "mean" else result).astype(dtype)


def guarded(n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an array of n elements, and the memory that it is the middle of."""
    memory = np.full(n + 2, GUARD, dtype)
    return memory[1:-1], memory


def main() -> None:
    """Go through the grid, with all ranks on one node and on nodes of three."""
    count = 0
    for ranks_per_node in (None, 3):
        with dpmpi.Communicator(ranks_per_node=ranks_per_node) as comm:
            for i, n in enumerate(SIZES):
                for op, dtype, twin in KINDS[i % 2 :: 2] if n < 1 << 20 else KINDS[:2]:
                    wanted = expected(comm.size, n, op, dtype, twin)
                    for algorithm in ALGORITHMS:
                        count += check_plan(comm, algorithm, n, op, dtype, wanted)
                    check_out(comm, n, op, dtype, wanted)
                    count += 1
            if comm.rank == 0 and ranks_per_node == 3:
                print(f"{count} combinations")


def check_plan(comm: dpmpi.Communicator, algorithm: str, n: int, op: str, dtype: str, wanted: np.ndarray) -> int:
    """Run a plan on a user's array; return how many were run."""
    array, memory = guarded(n, dtype)
    try:
        plan = comm.plan_allreduce(n, dtype, op, algorithm=algorithm, buffer=array)
    except ValueError as error:
        if "cannot run here" not in str(error):
            raise
        return 0
    with plan:
        array[:] = values(comm.rank, n, dtype)
        plan.run()
    np.testing.assert_array_equal(array, wanted, f"{algorithm} {op} {dtype} {n}")
    np.testing.assert_array_equal(memory[[0, -1]], np.full(2, GUARD, dtype))
    return 1


def check_out(comm: dpmpi.Communicator, n: int, op: str, dtype: str, wanted: np.ndarray) -> None:
    """Run an all-reduce out of place."""
    array, memory = guarded(n, dtype)
    out, around = guarded(n, dtype)
    array[:] = values(comm.rank, n, dtype)
    assert comm.allreduce(array, op, out) is out
    np.testing.assert_array_equal(out, wanted, f"out of place {op} {dtype} {n}")
    np.testing.assert_array_equal(array, values(comm.rank, n, dtype))
    for guards in (memory, around):
        np.testing.assert_array_equal(guards[[0, -1]], np.full(2, GUARD, dtype))


if __name__ == "__main__":
    main()
