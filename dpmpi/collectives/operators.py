"""The operators of a reduction: NumPy's, by name, and the user's own, compiled by Numba."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels import reduce
from .guard import digest
from .mpi import MPI

PAIR_FIELDS = ("value", "index")


@dataclass(frozen=True)
class Operator:
    """An associative operator on arrays.

    Attributes:
        name: for messages; the ranks must agree on it.
        mpi: the MPI operator of the same meaning, or None.
        kinds: the dtype kinds it takes (NumPy's letters; V for pairs and the user's structures).
        commutative: whether ``a op b`` is ``b op a``: the ring needs it, the other algorithms keep the ranks' order.
        function: the user's ``op(acc, x)``, which puts x into acc; None for the operators with a name.
    """

    name: str
    mpi: MPI.Op | None
    kinds: str
    commutative: bool = True
    function: Callable[[np.ndarray, np.ndarray], None] | None = None

    @property
    def code(self) -> str | int:
        """What stands for it in `kernels.node.signature`: its name, or for the user's a digest of that."""
        return self.name if self.function is None else digest(self.name)

    @property
    def is_mean(self) -> bool:
        """Whether the sum is divided by the number of ranks in the end."""
        return self.name == "mean"

    def check(self, dtype: np.dtype) -> None:
        """Raise TypeError when the operator is not defined for `dtype`."""
        if dtype.kind not in self.kinds:
            if self.is_mean and dtype.kind in "biu":
                raise TypeError(f"the mean of {dtype} does not fit that dtype; convert with array.astype(float) first")
            raise TypeError(f"{self.name} is not defined for dtype {dtype}{PAIRS_WANTED if self.kinds == 'V' else ''}")
        if self.kinds == "V" and not _are_pairs(dtype):
            raise TypeError(f"{self.name} is not defined for dtype {dtype}{PAIRS_WANTED}")

    def loop(self, dtype: np.dtype) -> int:
        """Return the address of the C loop ``void (*)(void *out, const void *x, ptrdiff_t n)`` for `dtype`.

        Raises TypeError when there is none, or when the user's operator cannot be compiled for it.
        """
        if self.function is not None:
            return int(_compiled(self.function, dtype).address)
        value = dtype.fields["value"][0] if dtype.fields else dtype
        address = int(reduce.loop("sum" if self.is_mean else self.name, value))
        if not address:
            raise TypeError(f"{self.name} is not defined for dtype {dtype}")
        return address


PAIRS_WANTED = "; it takes pairs as made by dpmpi.pairs(values, indices)"
_NUMBERS = "biufc"
OPERATORS = {
    operator.name: operator
    for operator in (
        Operator("sum", MPI.SUM, _NUMBERS),
        Operator("prod", MPI.PROD, _NUMBERS),
        Operator("min", MPI.MIN, _NUMBERS),
        Operator("max", MPI.MAX, _NUMBERS),
        Operator("mean", MPI.SUM, "fc"),
        Operator("logical_and", MPI.LAND, _NUMBERS),
        Operator("logical_or", MPI.LOR, _NUMBERS),
        Operator("logical_xor", MPI.LXOR, _NUMBERS),
        Operator("bitwise_and", MPI.BAND, "biu"),
        Operator("bitwise_or", MPI.BOR, "biu"),
        Operator("bitwise_xor", MPI.BXOR, "biu"),
        Operator("argmin", None, "V"),
        Operator("argmax", None, "V"),
    )
}


Op = str | Operator | Callable[[np.ndarray, np.ndarray], None]


def operator(op: Op) -> Operator:
    """Return the Operator that `op` names or is; a function is taken as associative but not commutative."""
    if isinstance(op, Operator):
        return op
    if isinstance(op, str):
        if op not in OPERATORS:
            raise ValueError(f"unknown op {op!r}; choose one of {', '.join(OPERATORS)}, or pass a function op(acc, x)")
        return OPERATORS[op]
    if callable(op):
        return user_operator(op)
    raise TypeError(f"op must be a name or a function op(acc, x), not {type(op).__name__}")


def user_operator(function: Callable[[np.ndarray, np.ndarray], None], commutative: bool = False) -> Operator:
    """Make an operator of ``function(acc, x)``, which combines the 1-D array x into acc, element by element.

    It must be associative, and compile with `numba.njit` (it may be compiled already). It runs without the GIL, and an
    exception in it cannot be raised: Numba prints and drops it. `commutative` allows the ring algorithm.
    """
    plain = getattr(function, "py_func", function)
    name = f"{getattr(plain, '__module__', '?')}.{getattr(plain, '__qualname__', repr(plain))}"
    return Operator(name, None, _NUMBERS + "V", commutative, function)


def pairs(values: Any, indices: Any) -> np.ndarray:
    """Return the pairs that argmin and argmax take: an array with fields ``value`` and ``index`` (int64).

    Reduced, a pair holds the least (greatest) value and its index; of equal values the lower index wins; NaN wins.
    """
    values = np.asarray(values)
    out = np.empty(values.shape, np.dtype([("value", values.dtype), ("index", np.int64)], align=True))
    out["value"], out["index"] = values, indices
    return out


def _are_pairs(dtype: np.dtype) -> bool:
    if dtype.names != PAIR_FIELDS or dtype.fields is None:
        return False
    value = dtype.fields["value"][0]
    return value.isnative and dtype == np.dtype([("value", value), ("index", np.int64)], align=True)


@functools.cache  # without a bound: plans hold the addresses of what is compiled
def _compiled(function: Callable[..., None], dtype: np.dtype) -> Any:
    import numba
    from numba import types

    inner = function if hasattr(function, "py_func") else numba.njit(function)
    item = numba.from_dtype(dtype)

    try:

        @numba.cfunc(types.void(types.CPointer(item), types.CPointer(item), types.intp))
        def loop(out, x, n):  # type: ignore[no-untyped-def]
            inner(numba.carray(out, n), numba.carray(x, n))

    except numba.core.errors.NumbaError as error:
        from ..kernels.custom import why_not_compiled

        raise TypeError(f"op cannot be compiled by Numba for dtype {dtype}: {why_not_compiled(error)}") from error
    return loop
