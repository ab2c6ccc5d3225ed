"""Who owns which rows: pure arithmetic, no arrays and no communication."""

from __future__ import annotations


def block(n: int, size: int, rank: int) -> tuple[int, int]:
    """Return the half-open range ``(start, stop)`` of rows that `rank` owns when `n` rows go to `size` ranks.

    Ranges are contiguous, in rank order, cover every row once, and their lengths differ by at most one: the first
    ``n % size`` ranks hold one row more. Python integers do not overflow, so any `n` is allowed.

    Raises ValueError when `n` is negative, `size` is not positive, or `rank` is not in ``range(size)``.
    """
    if n < 0 or size < 1 or not 0 <= rank < size:
        raise ValueError(f"block(n={n}, size={size}, rank={rank}): need n >= 0 and 0 <= rank < size")
    quotient, remainder = divmod(n, size)
    start = rank * quotient + min(rank, remainder)
    return start, start + quotient + (rank < remainder)
