"""Powers of five as the readers of decimal numbers need them: the leading bits, by exact whole numbers."""

from __future__ import annotations

from collections.abc import Iterator


def leading_bits_of_fives(least: int, greatest: int) -> Iterator[int]:
    """Yield the 128 leading bits of ``5**q`` for each q from `least` (below 0) to `greatest`, as two words, high first.

    Reciprocals that 64 bits times 128 divide exactly (q from -27) are rounded up, all others down.
    Source: D. Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51 (2021).
    """
    for q in range(least, greatest + 1):
        five = 5 ** abs(q)
        length = five.bit_length()
        bits = five << 128 if q >= 0 else (1 << (length + (127 if q >= -27 else 256))) // five + 1
        bits >>= bits.bit_length() - 128
        yield bits >> 64
        yield bits & (1 << 64) - 1
