"""A kernel from a user's scalar loss: Numba compiles the loss, the loops of linear_loops.h do the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import matrix
from .linear import add_custom_loss

Kernel = Callable[[Any, Any, Any, Any, np.ndarray], None]


def loss(fn: Callable[[float, float], tuple[float, float]]) -> Kernel:
    """Make a kernel of a scalar loss ``fn(y, z) -> (loss, dloss/dz)``, plain Python that Numba can compile.

    The kernel is called as the built-in losses are: ``kernel(X, y, sample_weight, coef, out)``, X dense or CSR; y must
    be finite and weights not negative. fn computes in float64, by SIMD code where it calls no functions but exp, log,
    log1p (of math or NumPy; custom_math.py has them) and those that are single instructions (abs, min, max, sqrt).

    It is compiled at its first call for float32 and for float64 data, and kept in Numba's cache on disk; of processes
    on one machine that need it at once, one compiles and the others wait for it.

    Raises TypeError, at the first call, when Numba can't compile fn or fn does not return two numbers.
    """
    if not hasattr(getattr(fn, "py_func", fn), "__code__"):
        raise TypeError(f"fn is {fn!r}; a function fn(y, z) -> (loss, dloss/dz) is accepted")
    compiled: dict[str, Any] = {}

    def kernel(X: Any, y: Any, sample_weight: Any, coef: Any, out: np.ndarray) -> None:
        dtype = matrix(X)[1].name
        if dtype not in compiled:
            compiled[dtype] = _compile(fn, dtype)
        add_custom_loss(compiled[dtype].address, X, y, sample_weight, coef, out)

    kernel.__name__ = kernel.__qualname__ = getattr(fn, "__name__", "loss")
    kernel.__doc__ = fn.__doc__
    return kernel


def _compile(fn: Callable, dtype: str) -> Any:
    """The loop over a block of rows, as a C function of the type `loss_loop` in loss_loops.h."""
    import numba
    from numba import carray, types
    from numba.extending import register_jitable

    from .custom_math import with_fast_functions

    real = getattr(types, dtype)
    numbers = types.CPointer(real)
    signature = real(
        types.intp, numbers, numbers, numbers, real, real, real, numbers, numbers, types.CPointer(types.int32)
    )
    fn = getattr(fn, "py_func", fn)
    # Sums may be reordered and products fused, as in the built-in loops; NaN and infinity keep their meaning.
    options = {"fastmath": {"reassoc", "nsz", "contract", "arcp"}, "error_model": "numpy"}
    scalar = register_jitable(forceinline=True, **options)(with_fast_functions(fn))
    version = _version(fn)

    def loop(n, y, weight, z, parameter, low, high, derivative, derivative_sum, valid):  # type: ignore[no-untyped-def]
        rows_y, rows_weight, rows_z, rows_derivative = (
            carray(y, n),
            carray(weight, n),
            carray(z, n),
            carray(derivative, n),
        )
        total, total_derivative, ok = 0.0, 0.0, True
        if n < 0:  # never: only what the loop refers to is part of its key in the cache
            return version
        for i in range(n):
            value, slope = scalar(np.float64(rows_y[i]), np.float64(rows_z[i]))
            slope *= rows_weight[i]
            rows_derivative[i] = slope
            total += rows_weight[i] * value
            total_derivative += slope
            ok &= (rows_y[i] >= low) & (rows_y[i] <= high) & (rows_weight[i] >= 0)
        derivative_sum[0] += total_derivative
        valid[0] &= ok
        return total

    try:
        with _one_process_at_a_time(fn):
            return numba.cfunc(signature, cache=True, **options)(loop)
    except numba.errors.NumbaError as error:
        raise TypeError(
            f"fn must be a function fn(y, z) -> (loss, dloss/dz) that Numba can compile: {why_not_compiled(error)}"
        ) from error


def why_not_compiled(error: Exception) -> str:
    """Return the line of Numba's error that says what the user's code does wrong; the others tell Numba's own steps."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith("Failed in")), type(error).__name__)


def _version(fn: Callable) -> float:
    """A number that changes when fn's code, or a number or string that it refers to, does."""
    code = fn.__code__
    named = {name: value for name, value in fn.__globals__.items() if name in code.co_names}
    cells = [cell.cell_contents for cell in fn.__closure__ or ()]
    plain = [value for value in [*named.values(), *cells] if isinstance(value, (bool, int, float, str))]
    text = repr((code.co_code, code.co_consts, code.co_names, plain))
    import hashlib  # slow to import, and only this needs it

    return float(int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big"))


@contextmanager
def _one_process_at_a_time(fn: Callable) -> Iterator[None]:
    """A lock on compiling fn among this user's processes on this machine: the second finds it in the cache."""
    import fcntl
    import tempfile

    code = getattr(fn, "py_func", fn).__code__
    import hashlib

    name = hashlib.sha256(repr((code.co_filename, code.co_firstlineno)).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"dpmpi-{os.getuid()}-{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
