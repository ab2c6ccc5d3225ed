"""Random numbers without a state: a pure function of what they are for, so any rank can make those of any row."""

from __future__ import annotations

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15  # the step of SplitMix64's state


def mix(x: np.ndarray | np.uint64 | int) -> np.ndarray:
    """Turn 64-bit integers into 64 random-looking bits each, one to one.

    Source: the finaliser of SplitMix64; G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014.
    """
    x = np.asarray(x, np.uint64) * np.uint64(1)
    with np.errstate(over="ignore"):
        x = x + np.uint64(GOLDEN)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


def unit(bits: np.ndarray) -> np.ndarray:
    """Random bits as float64 numbers inside (0, 1), evenly spread."""
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
