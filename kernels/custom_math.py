"""exp, log and log1p for users' losses: Numba code without calls or branches, so that LLVM makes SIMD code of the loop.

Numba calls the C library for each number otherwise. Within 2 units in the last place. exp as in elementary.h; log by
2 atanh(f / (2 + f)) on [sqrt(1/2), sqrt(2)] (fdlibm's way); both cut the exponent out of the bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import CellType, FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
MAGIC, MAGIC_BITS = 6755399441055744.0, 0x4338000000000000  # 1.5 * 2**52: adding it rounds to an integer


@intrinsic
def _bits(typing: Any, x: Any) -> Any:
    return types.int64(types.float64), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.IntType(64)
    )


@intrinsic
def _from_bits(typing: Any, i: Any) -> Any:
    return types.float64(types.int64), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.DoubleType()
    )


@intrinsic
def _choose(typing: Any, condition: Any, this: Any, other: Any) -> Any:
    """One of two numbers, both computed: Python's own conditional makes branches, which LLVM may keep."""
    return types.float64(
        types.boolean, types.float64, types.float64
    ), lambda context, builder, signature, args: builder.select(args[0], args[1], args[2])


# fastmath=False: reordering would undo the reductions. It holds though the loop that calls these allows it.
compiled = numba.njit(fastmath=False, error_model="numpy", forceinline=True)


@compiled
def exp(x):  # type: ignore[no-untyped-def]
    x = float(x)
    c = _choose(x < -707.0, -707.0, _choose(x > 710.0, 710.0, x))
    t = c * 1.442695040888963407359925 + MAGIC
    r = c - (t - MAGIC) * LN2_HIGH
    r = r - (t - MAGIC) * LN2_LOW
    p = 2.510038549551031908e-8
    p = p * r + 2.762008844540974816e-7
    p = p * r + 2.755726845999706477e-6
    p = p * r + 2.480152129595437513e-5
    p = p * r + 1.984126986305361688e-4
    p = p * r + 1.38888889172137169e-3
    p = p * r + 8.333333333330061833e-3
    p = p * r + 0.04166666666662412787
    p = p * r + 0.1666666666666666745
    p = p * r + 0.5000000000000001022
    y = ((r + r * r * p) + 1.0) * _from_bits((_bits(t) + 1022) << 52) * 2.0
    return _choose(x < -707.0, 0.0, y)


@compiled
def log(x):  # type: ignore[no-untyped-def]
    x = float(x)
    small = x < 2.2250738585072014e-308  # the least normal number
    bits = _bits(_choose(small, x * 2.0**54, x))
    k = (bits - 0x3FE6A09E667F3BCD) >> 52  # sqrt(1/2)'s bits
    f = _from_bits(bits - (k << 52)) - 1.0
    exponent = (_from_bits(k + MAGIC_BITS) - MAGIC) - _choose(small, 54.0, 0.0)
    s = f / (2.0 + f)
    u = s * s
    p = 0.0808202280597176611
    p = p * u + 0.04400369243072336941
    p = p * u + 0.06000536404795356268
    p = p * u + 0.06657072104827468075
    p = p * u + 0.07692785034479311552
    p = p * u + 0.09090894718066429085
    p = p * u + 0.1111111135871393149
    p = p * u + 0.1428571428357437858
    p = p * u + 0.2000000000000729134
    p = p * u + 0.3333333333333332928
    half = 0.5 * f * f
    y = exponent * LN2_HIGH + (f - (half - (s * (half + 2.0 * u * p) + exponent * LN2_LOW)))
    y = _choose(x < math.inf, y, x)  # infinity and NaN
    return _choose(x > 0.0, y, _choose(x == 0.0, -math.inf, math.nan))


@compiled
def log1p(x):  # type: ignore[no-untyped-def]
    x = float(x)
    u = 1.0 + x
    rounded = (x - (u - 1.0)) / u
    return log(u) + _choose((u > 0.0) & (u < math.inf), rounded, 0.0)


def with_fast_functions(fn: Callable) -> Callable:
    """A copy of fn, plain Python, that calls the functions above for those of math and NumPy."""
    fast = {"exp": exp, "log": log, "log1p": log1p}

    def replaced(value: Any) -> Any:
        if value is math or value is np:
            module = ModuleType(value.__name__)
            module.__dict__.update(value.__dict__ | fast)
            return module
        for name, function in fast.items():
            if value is getattr(math, name) or value is getattr(np, name):
                return function
        return value

    named = {name: replaced(value) for name, value in fn.__globals__.items()}
    cells = tuple(CellType(replaced(cell.cell_contents)) for cell in fn.__closure__ or ())
    return FunctionType(fn.__code__, named, fn.__name__, fn.__defaults__, cells)
