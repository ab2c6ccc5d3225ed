"""One kernel by several threads, for runs with one rank per socket: equal bits for any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

# Rows are cut into parts by their number alone, and the parts' sums added in their order: at most PARTS of them, none
# but the last of fewer than LEAST rows, which keeps what a part costs (a zeroed copy of out) small beside its work.
PARTS, LEAST = 64, 4096


def in_threads(
    kernel: Callable[..., None], shards: tuple[Any, ...], params: tuple[Any, ...], out: np.ndarray, *, threads: int
) -> None:
    """Do ``kernel(*shards, *params, out)`` by `threads` threads; the bits in out do not depend on their number.

    kernel is one that adds into out and releases the GIL: any of this package whose out does not have a row for each
    row of the shards (not `linear_predictor`, say), or a user's ``numba.njit(nogil=True)`` function. shards are the
    arrays aligned by rows, the first of them an array or CSR matrix; None stays None. out is touched only when every
    thread has succeeded. Raises ValueError when threads is not positive, and what the kernel raises.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}; 1 or more are accepted")
    n = shards[0].shape[0]
    size = max(LEAST, -(-n // PARTS))

    def part(start: int) -> np.ndarray:
        total = np.zeros_like(out)
        kernel(*(_rows(shard, start, min(start + size, n)) for shard in shards), *params, total)
        return total

    starts = range(0, n, size)
    try:
        if threads == 1:
            parts = [part(start) for start in starts]
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(part, starts))
    except ValueError:
        kernel(*shards, *params, np.zeros_like(out))  # raises it again, with the number of the row among all
        raise
    for total in parts:
        out += total


def _rows(shard: Any, start: int, stop: int) -> Any:
    if shard is None:
        return None
    if hasattr(shard, "indptr"):  # without copying, as scipy's own slices would
        return SimpleNamespace(
            shape=(stop - start, shard.shape[1]),
            format=getattr(shard, "format", "csr"),
            indptr=shard.indptr[start : stop + 1],
            indices=shard.indices,
            data=shard.data,
        )
    return shard[start:stop]
