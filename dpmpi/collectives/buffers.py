"""The arrays that users hand over: what can be combined, in which dtype, and how results get back into them."""

from __future__ import annotations

import numpy as np

from .operators import Op, operator


def check_array(array: object, op: Op | None = None) -> np.ndarray:
    """Return `array` if it can be combined, by `op` if that is given; raise TypeError or ValueError if not."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"only NumPy arrays can be combined, not {type(array).__name__}; wrap it with numpy.asarray")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask; fill it first with array.filled(value)")
    if array.dtype.hasobject or array.dtype.kind not in "biufcV":
        raise TypeError(f"only boolean, integer, real and complex arrays can be combined, not dtype {array.dtype}")
    if op is not None:
        operator(op).check(array.dtype)
    return array


def check_out(out: object, dtype: np.dtype, shape: tuple[int, ...], name: str = "out") -> np.ndarray:
    """Return the argument `name` if it can hold such a result; raise TypeError or ValueError if not."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(out).__name__}")
    if out.dtype != dtype or out.shape != shape:
        raise ValueError(f"{name} must be {dtype} of shape {shape}, but is {out.dtype} of shape {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    return out


def flat_work(array: np.ndarray, target: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return a flat contiguous `dtype` array of `array`'s values: the memory of `target` itself where that will do."""
    if target.flags.c_contiguous and dtype == target.dtype and dtype.isnative:
        if target is not array:
            np.copyto(target, array)
        return np.asarray(target).reshape(-1)
    return np.array(array, dtype, order="C").reshape(-1)


def work_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which values travel and are combined: native byte order, float16 as float32."""
    return np.dtype(np.float32) if is_widened(dtype) else dtype.newbyteorder("=")


def dtype_name(dtype: np.dtype) -> str:
    """Return what tells dtypes apart but for their byte order, which ranks may differ in."""
    return dtype.name if dtype.kind != "V" else str(dtype.newbyteorder("=").descr)


def is_widened(dtype: np.dtype) -> bool:
    """Return whether values of `dtype` travel in a wider one."""
    return dtype.newbyteorder("=") == np.float16


def store(work: np.ndarray, target: np.ndarray) -> None:
    """Put the combined values where they belong, unless they are there already."""
    if not np.may_share_memory(work, target):
        with np.errstate(over="ignore"):  # a float16 result may be infinite
            np.copyto(target, work.reshape(target.shape), casting="same_kind")
