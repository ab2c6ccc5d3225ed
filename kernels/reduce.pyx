"""The reduction loops of a ring all-reduce: see reduce.h."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uintptr_t


cdef extern from "reduce.h":
    ctypedef void (*reduce_fn)(void *out, const void *x, Py_ssize_t n) nogil
    enum:
        REDUCE_SUM, REDUCE_PROD, REDUCE_MIN, REDUCE_MAX, REDUCE_LOGICAL_AND, REDUCE_LOGICAL_OR, REDUCE_LOGICAL_XOR
        REDUCE_BITWISE_AND, REDUCE_BITWISE_OR, REDUCE_BITWISE_XOR, REDUCE_ARGMIN, REDUCE_ARGMAX
    int simd_level()
    int reduce_dtype(const char *code, size_t itemsize)
    reduce_fn reduce_lookup(int op, int dtype, int level)

cdef int LEVEL = simd_level()


def sum_into(x, out):
    """``out[i] += x[i]``; for bool, logical or. Integers wrap.

    Parameters of all four: `x` and `out`, 1-D contiguous arrays of one length and dtype (bool, any NumPy integer,
    float32, float64, longdouble, or their complex kinds); `x` may be read-only, and may be `out` but not overlap it in
    part. The results are those of ``np.add(out, x, out=out)``, bit by bit. The GIL is released.

    Raises TypeError for another or an unequal dtype, ValueError for another shape, layout or a read-only `out`.
    """
    reduce_into(REDUCE_SUM, x, out)


def prod_into(x, out):
    """``out[i] *= x[i]``; for bool, logical and. Integers wrap. Arguments and errors as for `sum_into`."""
    reduce_into(REDUCE_PROD, x, out)


def min_into(x, out):
    """``out[i] = min(out[i], x[i])``; NaN wins, complex numbers compare by real part, then imaginary.

    Arguments and errors as for `sum_into`.
    """
    reduce_into(REDUCE_MIN, x, out)


def max_into(x, out):
    """``out[i] = max(out[i], x[i])``; NaN wins, complex numbers compare by real part, then imaginary.

    Arguments and errors as for `sum_into`.
    """
    reduce_into(REDUCE_MAX, x, out)


cdef int reduce_into(int op, x, out) except -1:
    cdef Py_buffer source, target
    try:
        PyObject_GetBuffer(out, &target, PyBUF_FORMAT | PyBUF_ND | PyBUF_WRITABLE)
    except (BufferError, ValueError) as error:
        raise ValueError(f"out must be a writable contiguous array: {error}") from None
    try:
        try:
            PyObject_GetBuffer(x, &source, PyBUF_FORMAT | PyBUF_ND)
        except (BufferError, ValueError) as error:
            raise ValueError(f"x must be a contiguous array: {error}") from None
        try:
            return run(op, &source, &target)
        finally:
            PyBuffer_Release(&source)
    finally:
        PyBuffer_Release(&target)


cdef int run(int op, Py_buffer *x, Py_buffer *out) except -1:
    cdef int dtype = reduce_dtype(out.format, out.itemsize)
    cdef Py_ssize_t n
    cdef char *a = <char *>out.buf
    cdef char *b = <char *>x.buf
    cdef reduce_fn loop
    if dtype < 0:
        raise TypeError(f"out has items of format {out.format.decode()!r}: "
                        "bool, integer, float32, float64, longdouble or complex of the native byte order is accepted")
    if reduce_dtype(x.format, x.itemsize) != dtype:
        raise TypeError(f"x and out must have one dtype; their formats are {x.format.decode()!r} and "
                        f"{out.format.decode()!r}")
    if x.ndim != 1 or out.ndim != 1 or x.shape[0] != out.shape[0]:
        raise ValueError("x and out must be 1-D of one length; they have "
                         f"{[x.shape[i] for i in range(x.ndim)]} and {[out.shape[i] for i in range(out.ndim)]} items")
    if a != b and a < b + x.len and b < a + out.len:
        raise ValueError("x and out overlap in part")
    n = out.shape[0]
    loop = reduce_lookup(op, dtype, LEVEL)
    with nogil:
        loop(a, b, n)
    return 0


cdef dict OPS = {
    "sum": REDUCE_SUM, "prod": REDUCE_PROD, "min": REDUCE_MIN, "max": REDUCE_MAX,
    "logical_and": REDUCE_LOGICAL_AND, "logical_or": REDUCE_LOGICAL_OR, "logical_xor": REDUCE_LOGICAL_XOR,
    "bitwise_and": REDUCE_BITWISE_AND, "bitwise_or": REDUCE_BITWISE_OR, "bitwise_xor": REDUCE_BITWISE_XOR,
    "argmin": REDUCE_ARGMIN, "argmax": REDUCE_ARGMAX,
}


def loop(str op, dtype):
    """Return the address of the C loop ``void (*)(void *out, const void *x, ptrdiff_t n)`` of an operator.

    op: sum, prod, min, max, logical_and/or/xor, bitwise_and/or/xor, argmin or argmax. dtype: a NumPy dtype of native
    byte order; for argmin and argmax that of the value, in pairs ``{value, int64 index}`` aligned as in C.
    0 where there is no such loop.
    """
    code = memoryview(dtype.type(0)).format.encode() if dtype.kind in "biufc" else b""
    cdef int number = reduce_dtype(code, dtype.itemsize)
    return 0 if number < 0 else <uintptr_t>reduce_lookup(OPS[op], number, LEVEL)


def combine(uintptr_t address, x, out):
    """Run the loop at `address` on two contiguous arrays of one length and dtype, without the GIL; nothing is checked."""
    cdef const unsigned char[::1] source = x.view("u1")
    cdef unsigned char[::1] target = out.view("u1")
    cdef Py_ssize_t n = out.shape[0]
    if n == 0:
        return
    with nogil:
        (<reduce_fn>address)(&target[0], &source[0], n)
