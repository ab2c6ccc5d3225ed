"""MurmurHash3 of short texts, 32 bits, seed 0.

Source: the algorithm MurmurHash3_x86_32 of Austin Appleby, published in the public domain.
"""

from __future__ import annotations

import functools

_MASK = 0xFFFFFFFF


@functools.lru_cache(maxsize=1 << 16)
def murmur3(data: bytes) -> int:
    """The hash of `data` as a signed 32-bit integer."""
    h = 0
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        h ^= _scramble(int.from_bytes(data[at : at + 4], "little"))
        h = (_rotate(h, 13) * 5 + 0xE6546B64) & _MASK
    if whole < len(data):
        h ^= _scramble(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _MASK
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _MASK
    h ^= h >> 16
    return h - (1 << 32) if h >> 31 else h


def _scramble(k: int) -> int:
    return (_rotate((k * 0xCC9E2D51) & _MASK, 15) * 0x1B873593) & _MASK


def _rotate(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (32 - bits))) & _MASK
